/**
 * The part of the `mqtt` package that is used, in a module of its own: commands that do not speak MQTT do not load it. (A package
 * that is CommonJS is not imported on demand itself: what names it exports then depends on who loads it.)
 */
export { connect } from "mqtt"

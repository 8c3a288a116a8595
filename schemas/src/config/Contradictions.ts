/**
 * Values that are each right and do not fit together.
 */
import { clusterContradictions } from "./ClusterContradictions.js"
import type { ConfigProblem } from "./ConfigError.js"
import type { KeyName, Resolved } from "./Settings.js"

export const contradictions = ({ settings, sources }: Resolved): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const refuse = (key: KeyName, expected: string) =>
    problems.push({ key, source: sources[key], value: settings[key], expected, suggestion: undefined })
  const certificate = settings["mqtt.tls.certFile"] !== undefined
  if (certificate && settings["mqtt.tls.keyFile"] === undefined) {
    refuse("mqtt.tls.certFile", "mqtt.tls.keyFile to be set as well")
  }
  if (!certificate && settings["mqtt.tls.keyFile"] !== undefined) {
    refuse("mqtt.tls.keyFile", "mqtt.tls.certFile to be set as well")
  }
  if (settings["mqtt.unfinishedPackets.bytesMax"] < settings["mqtt.maxPacketSizeBytes"]) {
    refuse("mqtt.unfinishedPackets.bytesMax", "at least mqtt.maxPacketSizeBytes")
  }
  if (settings["mqtt.tls.clientCertificate"] !== "none" && settings["mqtt.tls.caFile"] === undefined) {
    refuse("mqtt.tls.clientCertificate", "none, or mqtt.tls.caFile to be set as well")
  }
  if (settings["mqtt.proxy.mode"] !== "off" && settings["mqtt.proxy.trustedAddresses"].length === 0) {
    refuse("mqtt.proxy.mode", "off, or mqtt.proxy.trustedAddresses to name the proxies")
  }
  if (settings["auth.certificateUsers"] && settings["mqtt.tls.clientCertificate"] === "none") {
    refuse("auth.certificateUsers", "false, or mqtt.tls.clientCertificate to be optional or required")
  }
  clusterContradictions(settings, refuse)
  return problems
}

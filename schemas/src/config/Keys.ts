/**
 * The table of configuration keys. A key that nothing reads may not stand here: the tidy tests look for it in the source.
 */
import { alarmKeys } from "./AlarmKeys.js"
import { clusterKeys } from "./ClusterKeys.js"
import { limitKeys } from "./LimitKeys.js"
import { mqttFeatureKeys } from "./MqttFeatureKeys.js"
import { mqttLogKeys } from "./MqttLogKeys.js"
import { mqttKeys } from "./MqttKeys.js"
import { nodeKeys } from "./NodeKeys.js"

export const keys = { ...nodeKeys, ...clusterKeys, ...mqttKeys, ...mqttLogKeys, ...mqttFeatureKeys, ...limitKeys, ...alarmKeys }

/**
 * What is measured. `value` of a case is what its table row shows: higher is better for rates, lower for times and memory.
 *
 * `must` is the goal: a factor over Mosquitto, or a bound in the case's own unit. `among` are the peers, where not all; a case that
 * differs little from run to run has fewer (`runsMax`). `warmUpMs` is a second, where nothing else is said.
 */
const throughput = (more) => ({
  kind: "throughput",
  unit: "msg/s",
  higherIsBetter: true,
  publishers: 10,
  subscribers: 10,
  topics: 10,
  qos: 0,
  window: 100,
  payloadBytes: 64,
  shared: false,
  persistent: false,
  groupWindow: 4000,
  chunkMessagesMax: 800,
  ...more
})

const latency = (qos) => ({
  kind: "latency",
  unit: "ms",
  higherIsBetter: false,
  publishers: 10,
  qos,
  payloadBytes: 64,
  rate: 5000,
  // A second is 500 messages of each pair here: what is compiled as it runs, generator and brokers, still is then.
  warmUpMs: 5000,
  must: { factor: 1 }
})

export const cases = {
  "qos0-pairs": throughput({ title: "10 publishers to 10 subscribers, QoS 0", must: { factor: 10 } }),
  "qos1-pairs": throughput({ title: "the same, QoS 1, window 100", qos: 1, groupWindow: 5000, must: { factor: 10 } }),
  "fan-out": throughput({
    title: "1 publisher, 50 subscribers, QoS 0",
    publishers: 1,
    subscribers: 50,
    topics: 1,
    groupWindow: 1600,
    must: { factor: 10 }
  }),
  shared: throughput({
    title: "50 publishers, one shared-subscription consumer, QoS 0",
    publishers: 50,
    subscribers: 1,
    topics: 50,
    shared: true,
    groupWindow: 20_000,
    chunkMessagesMax: 200,
    must: { factor: 5 }
  }),
  persistent: throughput({
    title: "QoS 1 into 10 persistent sessions, 100 publishers, window 100 (EffectMQ: fsync before PUBACK)",
    qos: 1,
    publishers: 100,
    persistent: true,
    groupWindow: 8000,
    must: { factor: 3 }
  }),
  "latency-qos0": { ...latency(0), title: "p99 delivery at 5,000 msg/s, QoS 0" },
  "latency-qos1": { ...latency(1), title: "p99 delivery at 5,000 msg/s, QoS 1" },
  idle: {
    kind: "idle",
    title: "resident memory per idle connection, 16,000 of them",
    unit: "KiB",
    higherIsBetter: false,
    connections: 16_000,
    // How Mosquitto sends makes no difference to its memory.
    among: ["effectmq", "mosquitto", "aedes"],
    runsMax: 3,
    must: { bound: 8 }
  },
  routing: {
    kind: "routing",
    title: "route of a publish, 1 million wildcard subscriptions, 10,000 topics, one match (in process)",
    unit: "us",
    higherIsBetter: false,
    among: ["effectmq"],
    runsMax: 3,
    must: { bound: 2 }
  },
  recovery: {
    kind: "recovery",
    title: "kill -9 and start again on a 2 GiB log, until ready",
    unit: "s",
    higherIsBetter: false,
    among: ["effectmq"],
    runsMax: 1,
    gibibytes: 2,
    must: { bound: 10 }
  }
}

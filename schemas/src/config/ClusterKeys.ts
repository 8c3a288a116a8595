/**
 * Keys of the cluster: who its nodes are, where they talk to each other and how they prove that they belong together.
 */
import { flag, integer, longSecret, optionalText, port, text, textList } from "./Key.js"

export const clusterKeys = {
  "cluster.nodes": textList({
    fallback: [],
    doc: "The nodes that vote in a new cluster, this one among them, each as `id@host:port` of its RPC listener; the same on all of them. Where it is empty this node is a cluster of its own. It is read while the data directory is empty; afterwards `effectmq cluster add` and `remove` change who takes part, and it only says where to ask."
  }),
  "cluster.join": flag({
    fallback: false,
    doc: "Starts this node with an empty data directory as one that waits until `effectmq cluster add` takes it in, instead of as a voter of a new cluster. `cluster.nodes` names some that are there."
  }),
  "cluster.observer": flag({
    fallback: false,
    doc: "Lets this node follow the metadata of the nodes in `cluster.nodes` without keeping a copy of its log and without a vote."
  }),
  "cluster.secret": longSecret({
    lengthMin: 16,
    how: "openssl rand -hex 16",
    doc: "What all nodes know and nobody else: each proves it to the other before anything is said. Without it nodes talk on this machine only."
  }),
  "cluster.rpc.host": text({ fallback: "127.0.0.1", doc: "Address on which this node hears the others." }),
  "cluster.rpc.port": port({ fallback: 9645, doc: "Port on which this node hears the others; 0 lets the system choose." }),
  "cluster.rpc.advertised": optionalText({
    doc: "`host:port` at which the others reach this node, where it is not what `cluster.nodes` or `cluster.rpc.host` says."
  }),
  "cluster.tls.certFile": optionalText({
    doc: "PEM file of this node's certificate. With it, nodes talk over TLS and each must show a certificate of `cluster.tls.caFile`."
  }),
  "cluster.tls.keyFile": optionalText({ doc: "PEM file of the private key of `cluster.tls.certFile`." }),
  "cluster.tls.caFile": optionalText({ doc: "PEM file of the authorities that certificates of nodes come from." }),
  "cluster.heartbeatMs": integer({
    fallback: 100,
    min: 10,
    max: 10_000,
    unit: "ms",
    doc: "How often the leader is heard of when there is nothing else to say."
  }),
  "cluster.electionTimeoutMs": integer({
    fallback: 400,
    min: 50,
    max: 60_000,
    unit: "ms",
    doc: "A node that has not heard of a leader for this long, or up to twice as long, asks to lead. At least three heartbeats."
  }),
  "cluster.nodeTimeoutSeconds": integer({
    fallback: 5,
    min: 1,
    max: 3600,
    unit: "seconds",
    doc: "A node that is silent for longer is fenced: the cluster counts on it no more until it is back."
  }),
  "cluster.commandTimeoutSeconds": integer({
    fallback: 10,
    min: 1,
    max: 300,
    unit: "seconds",
    doc: "A change of metadata that no majority has taken by then fails; a read that none has confirmed by then, 3 s at most, is answered as one that may be old."
  })
}

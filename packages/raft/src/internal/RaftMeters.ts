/**
 * The figures of a Raft member, read when they are asked for.
 */
import type { MetersService } from "@effectmq/metrics/Meters"
import type { RaftStatus } from "../RaftNode.js"

/** Counted by the driver in plain numbers. */
export const meters = (service: MetersService) => ({
  proposals: service.counter("effectmq_raft_proposals_total", "Commands taken into the log by this node as leader"),
  refused: service.counter("effectmq_raft_proposals_refused_total", "Commands that were not taken"),
  applied: service.counter("effectmq_raft_applied_total", "Commands applied"),
  sent: service.counter("effectmq_raft_messages_sent_total", "Messages to other members"),
  received: service.counter("effectmq_raft_messages_received_total", "Messages of other members"),
  dropped: service.counter(
    "effectmq_raft_messages_dropped_total",
    "Messages to other members that were not sent, and of them that found no room"
  ),
  leaderChanges: service.counter("effectmq_raft_leader_changes_total", "Times that this node saw another leader"),
  writes: service.counter("effectmq_raft_writes_total", "Writes of the log, each synced"),
  storeFull: service.counter("effectmq_raft_store_full_total", "Writes that found no space"),
  snapshotsTaken: service.counter("effectmq_raft_snapshots_taken_total", "Snapshots of this node's own state"),
  snapshotsInstalled: service.counter(
    "effectmq_raft_snapshots_installed_total",
    "Snapshots of a leader that took the place of this node's state"
  ),
  writeSeconds: service.histogram(
    "effectmq_raft_write_seconds",
    "How long a write of the log took",
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
  )
})

export type RaftMeters = ReturnType<typeof meters>

export const registerGauges = (service: MetersService, status: () => RaftStatus): void => {
  const gauge = (name: string, help: string, read: (status: RaftStatus) => number) =>
    service.gauge(`effectmq_raft_${name}`, help, () => read(status()))
  gauge("term", "Term", (now) => now.term)
  gauge("leader", "Number of the leader, 0 where none is known", (now) => now.leaderId)
  gauge("is_leader", "1 while this node leads", (now) => (now.role === "leader" ? 1 : 0))
  gauge("last_index", "Last entry of the log", (now) => now.lastIndex)
  gauge("commit_index", "Last entry known to be committed", (now) => now.commitIndex)
  gauge("applied_index", "Last entry applied", (now) => now.appliedIndex)
  gauge("snapshot_index", "Last entry in the newest snapshot", (now) => now.snapshotIndex)
  gauge("log_entries", "Entries of the log in memory", (now) => now.lastIndex - now.firstIndex + 1)
  gauge("fenced", "1 where this node takes part no more", (now) => (now.fenced === undefined ? 0 : 1))
}

/**
 * Bugs put in on purpose, each a change of one source that is made while the simulation is bundled: the checkers must find every one
 * of them. `find` must be in the file exactly once: whoever changes that line changes it here too. `seed` is known to find it.
 */
import { readFile } from "node:fs/promises"

const machine = "packages/raft/src/core/RaftMachine.ts"
const node = "packages/raft/src/RaftNode.ts"
const driver = "packages/raft/src/internal/RaftDriver.ts"
const election = "packages/raft/src/core/Election.ts"
const commit = "packages/raft/src/core/Commit.ts"
const leadership = "packages/raft/src/core/Leadership.ts"
const proposals = "packages/raft/src/core/Proposals.ts"
const quorum = "packages/raft/src/core/Quorum.ts"
const reads = "packages/raft/src/core/ReadIndex.ts"
const replication = "packages/raft/src/core/Replication.ts"
const snapshots = "packages/raft/src/internal/SnapshotTaking.ts"
const store = "packages/testing/src/SimulatedRaftStore.ts"
const following = "packages/metadata/src/internal/Following.ts"
const followSource = "packages/metadata/src/internal/FollowSource.ts"
const liveness = "packages/metadata/src/internal/Liveness.ts"
const metadataMachine = "packages/metadata/src/MetadataMachine.ts"
const submitter = "packages/metadata/src/internal/Submitter.ts"
const registers = "test/sim/cluster/RegisterMachine.ts"

export const mutants = {
  "a vote is not persisted": {
    path: machine,
    find: "const promised = raft.term !== durable.term || raft.votedFor !== durable.votedFor",
    replace: "const promised = raft.term !== durable.term",
    seed: 9
  },
  "a term is not persisted": {
    path: machine,
    find: "const promised = raft.term !== durable.term || raft.votedFor !== durable.votedFor",
    replace: "const promised = raft.term === durable.term && raft.votedFor !== durable.votedFor",
    seed: 34
  },
  "an entry is answered before it is synced": {
    path: driver,
    find: "this.send(ready.messages)\n",
    replace: "this.send(ready.messages)\n      this.send(ready.messagesAfterWrite)\n",
    seed: 34
  },
  "the disk says it is synced and is not": {
    path: store,
    find: "persist: (write) => call(inner.persist(write), (write.entries ?? []).length > 0),",
    replace: "persist: (write) => Effect.asVoid(Effect.forkDaemon(Effect.delay(inner.persist(write), 200))),",
    seed: 17
  },
  "an entry of an older term is committed by counting": {
    path: commit,
    find: "if (reached <= log.commitIndex || log.termAt(reached) !== raft.term) return",
    replace: "if (reached <= log.commitIndex) return",
    seed: 244
  },
  "committed entries are applied twice": {
    path: driver,
    find: "if (commands.length > 0) this.parts.stateMachine.apply(commands)\n",
    replace: "for (let turn = 0; turn < (commands.length > 2 ? 2 : 1); turn++) this.parts.stateMachine.apply(commands)\n",
    seed: 34
  },
  "a snapshot has no membership": {
    path: snapshots,
    find: "const membership = machine.membershipAt(index)",
    replace: "const membership = { ...machine.membershipAt(index), voters: [], members: [] }",
    seed: 17
  },
  "a read is answered without asking a majority": {
    path: reads,
    find: "if (raft.committedInTerm && holdsLease(raft))",
    replace: "if (raft.committedInTerm)",
    also: { path: node, find: "checkQuorum: true,", replace: "checkQuorum: false," },
    seed: 2199
  },
  "a pre-vote counts as a vote": {
    path: election,
    find: "if (!granted || request.preVote) return",
    replace: "if (!granted) return",
    seed: 34
  },
  "two votes in one term": {
    path: election,
    find: "const free = raft.votedFor === request.from || (raft.votedFor === 0 && raft.leaderId === 0)",
    replace: "const free = true",
    seed: 9
  },
  "a vote for a log that lacks entries": {
    path: election,
    find: "&& raft.log.isReachedBy(request.lastIndex, request.lastTerm)",
    replace: "",
    seed: 9
  },
  "a late message cuts the log": {
    path: replication,
    find: "if (known === entry.term) continue",
    replace: "if (known === entry.term && entry.index > log.lastIndex) continue",
    seed: 9
  },
  "entries are taken behind another term": {
    path: replication,
    find: "if (termHere !== previousTerm && previousIndex > log.commitIndex) {",
    replace: "if (previousIndex > log.lastIndex) {",
    seed: 9
  },
  "committed before a majority has it": {
    path: quorum,
    find: "return rising[Math.floor((rising.length - 1) / 2)] as number",
    replace: "return rising[rising.length - 1] as number",
    seed: 34
  },
  "a learner counts as a voter": {
    path: quorum,
    find: "const incoming = majorityIndex(membership.voters, indexOf)",
    replace:
      "const { voters, learners } = membership\n  const incoming = majorityIndex([...learners, ...voters.slice(learners.length)], indexOf)",
    seed: 15
  },
  "a membership is changed without a joint one": {
    path: "packages/raft/src/core/MembershipChange.ts",
    find: "return { next: { ...membership, voters: without(voters, change.nodeId), outgoingVoters: voters } }",
    replace: "return { next: { ...membership, voters: [change.nodeId] } }",
    seed: 9
  },
  "a joint membership commits by its new half": {
    path: quorum,
    find: "return isJoint(membership) ? Math.min(incoming, majorityIndex(membership.outgoingVoters, indexOf)) : incoming",
    replace: "return incoming",
    seed: 9
  },
  "a joint membership commits by its old half": {
    path: quorum,
    find: "return isJoint(membership) ? Math.min(incoming, majorityIndex(membership.outgoingVoters, indexOf)) : incoming",
    replace: "return isJoint(membership) ? majorityIndex(membership.outgoingVoters, indexOf) : incoming",
    seed: 9
  },
  "an election in a joint membership is won by its new half": {
    path: quorum,
    find: 'if (hasMajority(membership, (nodeId) => votes.get(nodeId) === true)) return "won"',
    replace: 'if (majorityOf(membership.voters, (nodeId) => votes.get(nodeId) === true)) return "won"',
    seed: 3650
  },
  "an election in a joint membership is won by its old half": {
    path: quorum,
    find: 'if (hasMajority(membership, (nodeId) => votes.get(nodeId) === true)) return "won"',
    replace:
      'const old = isJoint(membership) ? membership.outgoingVoters : membership.voters\n  if (majorityOf(old, (nodeId) => votes.get(nodeId) === true)) return "won"',
    seed: 361
  },
  "a joint membership is left before it is committed": {
    path: commit,
    find: "if (memberships.currentIndex > reached) return",
    replace: "",
    seed: 9
  },
  "a membership is changed before an entry of the term is committed": {
    path: proposals,
    find: "if (!raft.committedInTerm) return",
    replace: "if (raft.term === 0) return",
    seed: 3445
  },
  "a membership is changed while another change is under way": {
    path: proposals,
    find: "if (memberships.currentIndex > log.commitIndex || isJoint(memberships.current)) {",
    replace: "if (isJoint(memberships.current)) {",
    seed: 108
  },
  "a new leader answers reads before it knows what is committed": {
    path: reads,
    find: "reads.wait({ from, requestId }, raft.committedInTerm)",
    replace: "reads.wait({ from, requestId }, true)",
    seed: 3445
  },
  "a read leans on an answer from before it came": {
    path: reads,
    find: "(raft.progressByNode.get(nodeId)?.readRound ?? -1) >= round",
    replace: "(raft.progressByNode.get(nodeId)?.readRound ?? -1) >= round - 1",
    seed: 1165
  },
  "who is told to lead asks nobody": {
    path: election,
    find: 'if (voteOutcome(raft.memberships.current, raft.votes) === "won") becomeLeader(raft)',
    replace: 'if (transfer || voteOutcome(raft.memberships.current, raft.votes) === "won") becomeLeader(raft)',
    seed: 9
  },
  "whom leadership is handed to is not asked for its log": {
    path: election,
    find: "&& raft.log.isReachedBy(request.lastIndex, request.lastTerm)",
    replace: "&& (request.transfer || raft.log.isReachedBy(request.lastIndex, request.lastTerm))",
    also: { path: leadership, find: "if (progress.matchIndex !== raft.log.lastIndex) return", replace: "" },
    seed: 3369
  },
  "a follower commits what the leader did not send": {
    path: replication,
    find: "Math.min(request.commitIndex, lastIndex))",
    replace: "Math.min(request.commitIndex, log.lastIndex))",
    also: { path: replication, find: "Math.min(known, log.commitIndex))", replace: "log.commitIndex)" },
    seed: 83
  },
  "commands are not recognized when they are retried": {
    path: registers,
    find: "if (last === undefined || last.number < number) {",
    replace: "if (last === undefined || last.number <= number) {",
    seed: 3319
  },
  "answered before it is applied": {
    path: registers,
    find: "this.pendingByIndex.set(proposed.right, { term: this.ledTerm, answer: resume })",
    replace: 'resume(Effect.succeed({ _tag: "Written" }))',
    seed: 17
  },
  "a change is answered before the node that was asked shows it": {
    suite: "metadata",
    path: "packages/metadata/src/internal/Submitter.ts",
    find: "stop = whenShown(outcome.reply, one.deadlineMs, resume)",
    replace: "resume(Effect.succeed(outcome.reply))",
    seed: 1
  },
  "a retried command of the metadata is carried out again": {
    suite: "metadata",
    path: "packages/metadata/src/core/decide.ts",
    find: "if (earlier !== undefined) {",
    replace: "if (earlier !== undefined && image.version < 0) {",
    seed: 1
  },
  "a snapshot forgets which commands were carried out": {
    suite: "metadata",
    path: "packages/metadata/src/core/imageToEvents.ts",
    find: "yield* remembered(image.recentCommands.newer)",
    replace: "",
    seed: 5
  },
  "an observer applies an entry again when it follows on": {
    suite: "metadata",
    path: "packages/metadata/src/core/Replica.ts",
    find: "if (index <= this.pointNow.index) return",
    replace: "if (index < this.pointNow.index) return",
    also: {
      path: "packages/metadata/src/internal/FollowSource.ts",
      find: "const entries = replica.recent.behind(index, bytesMax)",
      replace:
        "const entries = replica.recent.behind(isFirst && index > replica.recent.floor.index ? index - 1 : index, bytesMax)"
    },
    seed: 2
  },
  "an entry is lost on its way to an observer, and nobody compares hashes of the chain": {
    suite: "metadata",
    path: following,
    find: "const step = replica.apply(index, data)",
    replace: "const step = replica.apply(index, index % 7 === 0 ? data.subarray(0, 0) : data)",
    also: [
      {
        path: following,
        find: "own !== undefined && hashToHex(own) !== item.hash",
        replace: "own === undefined && item.index < 0"
      },
      {
        path: liveness,
        find: "answer.hash !== undefined && answer.hash !== own.hash",
        replace: "answer.hash === own.hash + own.hash"
      },
      { path: followSource, find: "own !== undefined && its !== undefined && sameHash(own, its)", replace: "true" }
    ],
    seed: 2
  },
  "an observer goes on behind an entry that it cannot apply": {
    suite: "metadata",
    path: following,
    find: "const step = replica.apply(index, data)",
    replace:
      'const step = index % 7 === 0 ? Either.left("it is not known here") : replica.apply(index, data)\n      if (index % 7 === 0) continue',
    seed: 2
  },
  "a store is opened although its witness knows of more": {
    suite: "metadata",
    path: "packages/raft/src/internal/store/StoreFiles.ts",
    find: "testimony !== undefined && testimony.sequence > head.sequence",
    replace: "testimony !== undefined && testimony.sequence > head.sequence + 1_000_000",
    seed: 304
  },
  "a change is answered before it is committed": {
    suite: "metadata",
    path: metadataMachine,
    find: "leading.turnsByIndex.set(proposed.right, { term: leading.term, step, answers, behind: [] })",
    replace:
      "leading.turnsByIndex.set(proposed.right, { term: leading.term, step, answers: [], behind: [] })\n      for (const [offer, outcome] of answers) offer.answer(outcome)",
    also: {
      path: submitter,
      find: "stop = whenShown(outcome.reply, one.deadlineMs, resume)",
      replace: "resume(Effect.succeed(outcome.reply))"
    },
    seed: 1
  },
  "a member that loads its snapshot forgets which commands were carried out": {
    suite: "metadata",
    path: metadataMachine,
    find: "const before = this.replica.image\n        this.replica.replace(content)",
    replace:
      "const before = this.replica.image\n        this.replica.replace({ ...content, image: { ...content.image, recentCommands: before.recentCommands } })",
    seed: 5
  },
  "a write that failed counts as done": {
    suite: "metadata",
    path: driver,
    find: "if (ready.write !== undefined) yield* persist(store, meters, ready.write, this.noSpace)",
    replace: "if (ready.write !== undefined) yield* Effect.ignore(persist(store, meters, ready.write, this.noSpace))",
    seed: 18
  },
  "a node that is heard of again stays fenced": {
    suite: "metadata",
    path: liveness,
    find: "isFenced && roll.isThere(node.nodeId, now, options.heartbeatMs * 2)",
    replace: "isFenced && roll.isThere(node.nodeId, now, -1)",
    seed: 47
  }
}

/** Makes the changes, or says that they do not fit any more. */
export const mutation = (name) => ({
  name: "mutation",
  setup(build) {
    const { also = [], ...first } = mutants[name]
    const changesByPath = new Map()
    for (const change of [first, ...[also].flat()]) {
      changesByPath.set(change.path, [...(changesByPath.get(change.path) ?? []), change])
    }
    for (const [path, changes] of changesByPath) {
      build.onLoad({ filter: new RegExp(`/${path.replaceAll(".", "\\.")}$`) }, async ({ path: file }) => {
        let contents = await readFile(file, "utf8")
        for (const { find, replace } of changes) {
          const parts = contents.split(find)
          if (parts.length !== 2) return { errors: [{ text: `${name}: ${path} has ${parts.length - 1} times: ${find}` }] }
          contents = parts.join(replace)
        }
        return { contents, loader: "ts" }
      })
    }
  }
})

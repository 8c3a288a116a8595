/**
 * The port that says what a client may do. Synchronous, because it stands on the hot path: an adapter answers from memory.
 * Adapters: `AclAuthorizer.layer` (rules in metadata), `AclAuthorizer.layerAllowAll`.
 */
import * as Context from "effect/Context"
import type { Principal } from "./Authenticator.js"

export interface Subject {
  readonly principal: Principal
  readonly clientId: string
  readonly address: string
}

/** What one connected client may do; follows later changes of the rules by itself. */
export interface Permissions {
  publish(topic: string, retain: boolean): boolean
  /** Judged on the filter, so that it holds for every topic the filter can match. */
  subscribe(filter: string): boolean
}

export interface AuthorizerService {
  permissions(subject: Subject): Permissions
}

export class Authorizer extends Context.Tag("@effectmq/security/Authorizer")<Authorizer, AuthorizerService>() {}

/**
 * Makes a clone ready: installs npm packages when the lock file says so, compiles and bundles what changed, and with `--test-tools`
 * installs the Debian packages some tests use. Quiet and quick when there is nothing to do.
 *
 * `npm start` and `npm test` run it first. What cannot be installed is said and left out: a suite whose tool is missing
 * says that it did not run.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle } from "./bundle.mjs"

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stampPath = join(root, "node_modules", ".effectmq-setup")
const say = (text) => process.stderr.write(`setup: ${text}\n`)

const run = (command, args, options = {}) =>
  spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], ...options })

const major = Number(process.versions.node.split(".")[0])
if (major < 20) {
  say(`Node 20 or newer is needed; this is ${process.version}`)
  process.exit(1)
}

/** One hash over everything that decides what npm installs. */
const dependenciesHash = () => {
  const hash = createHash("sha256").update(process.version)
  const below = (folder) =>
    existsSync(join(root, folder)) ? readdirSync(join(root, folder)).map((name) => `${folder}/${name}`) : []
  const folders = [".", "schemas", "test", ...below("packages"), ...below("services")]
  for (const file of ["package-lock.json", ...folders.map((folder) => `${folder}/package.json`)]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(file).update(readFileSync(path))
  }
  return hash.digest("hex")
}

const installPackages = () => {
  const stamp = existsSync(stampPath) ? readFileSync(stampPath, "utf8") : ""
  if (stamp === dependenciesHash()) return
  say("installing npm packages; SQLite is compiled for this machine, which takes a few minutes the first time")
  // Not `npm ci`: it fails where optional packages of other platforms cannot be had. Nothing is saved: versions of npm differ in
  // what they write to a lock file, and who starts a broker wants a clean tree.
  const result = run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"])
  if (result.status !== 0) {
    say("npm install failed")
    process.exit(1)
  }
  writeFileSync(stampPath, dependenciesHash())
}

const compile = () => {
  const result = run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-b"])
  if (result.status !== 0) {
    say("the build failed")
    process.exit(1)
  }
}

const onPath = (name) =>
  [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/bin"].some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })

const hasPaho = () =>
  ["python3", "/usr/bin/python3"].some((python) => spawnSync(python, ["-c", "import paho.mqtt.client"]).status === 0)

const toolsByPackage = {
  mosquitto: () => onPath("mosquitto"),
  "mosquitto-clients": () => onPath("mosquitto_pub") && onPath("mosquitto_sub"),
  "python3-paho-mqtt": hasPaho,
  openssl: () => onPath("openssl"),
  iproute2: () => onPath("ip") && onPath("tc"),
  nftables: () => onPath("nft"),
  faketime: () => onPath("faketime")
}

const missingTools = () => Object.keys(toolsByPackage).filter((name) => !toolsByPackage[name]())

/**
 * Keeps package scripts from starting services: Debian's mosquitto would take port 1883. The policy is removed whatever the action
 * comes to, Ctrl-C included; where even that fails it forbids nothing once this process is gone.
 */
const withoutServices = (action) => {
  const policy = "/usr/sbin/policy-rc.d"
  const ours = !existsSync(policy)
  const ignore = () => {}
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, ignore)
  try {
    if (ours) {
      const script = `#!/bin/sh\n# Of the set-up of EffectMQ, for as long as that runs.\n[ -e /proc/${process.pid} ] && exit 101\nexit 0\n`
      writeFileSync(policy, script, { mode: 0o755 })
    }
    return action()
  } finally {
    if (ours) rmSync(policy, { force: true })
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(signal, ignore)
  }
}

const installTestTools = () => {
  const missing = missingTools()
  if (missing.length === 0) return
  const giveUp = (why) => say(`${missing.join(", ")} cannot be installed (${why}); tests that need them will not run`)
  if (!onPath("apt-get")) return giveUp("no apt-get here")
  if (process.getuid?.() !== 0) return giveUp(`not root; run: apt-get install ${missing.join(" ")}`)
  say(`installing ${missing.join(", ")} with apt-get, for tests`)
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const quiet = { env, stdio: ["ignore", "ignore", "inherit"], timeout: 300_000 }
  if (run("apt-get", ["update", "-qq"], quiet).status !== 0) say("apt-get update failed; trying with the lists at hand")
  // On a fresh machine its own upgrades may hold the lock.
  const install = ["install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", ...missing]
  withoutServices(() => run("apt-get", install, quiet))
  if (missing.includes("mosquitto") && existsSync("/run/systemd/system")) {
    run("systemctl", ["disable", "--now", "mosquitto"], { stdio: "ignore" })
  }
  const still = missingTools()
  if (still.length > 0) say(`${still.join(", ")} could not be installed; tests that need them will not run`)
}

/** The command line runs without it too, only slower to start. */
const bundleCommandLine = () =>
  bundle().catch((error) => say(`the command line could not be bundled and will start slowly: ${error.message}`))

installPackages()
compile()
await bundleCommandLine()
if (process.argv.includes("--test-tools")) installTestTools()

#!/usr/bin/env node
// Verifies exports of Postern's audit log, by docs/audit.md alone. It needs Node 18
// or newer and nothing else.
//
//   node verify.mjs [--key KEY]... [--checkpoint FILE]... EXPORT...
//
// For each export it writes one line of JSON. The exit status is 0 where all are
// sound, 1 where one isn't, and 2 where one can't be read.
import { createHash, createPublicKey, verify } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const sha256 = (...parts) => {
  const h = createHash('sha256')
  for (const p of parts) h.update(p)
  return h.digest()
}
const LEAF = Buffer.from([0])
const NODE = Buffer.from([1])
const leafHash = (text) => sha256(LEAF, Buffer.from(text, 'utf8'))
const nodeHash = (left, right) => sha256(NODE, left, right)
const same = (a, b) => Buffer.compare(a, b) === 0

// fromBase64 gives the bytes, or null for what isn't written as it should be.
function fromBase64 (s) {
  const b = Buffer.from(s, 'base64')
  return b.toString('base64') === s ? b : null
}

// --- times: whole microseconds since 1970; 0 is no time ---

function micros (text) {
  const m = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z$/.exec(text)
  if (!m || (m[2] && m[2].endsWith('0'))) return null
  if (text === '0001-01-01T00:00:00Z') return 0
  const ms = Date.parse(m[1] + 'Z')
  return Number.isNaN(ms) ? null : ms * 1000 + Number((m[2] || '').padEnd(6, '0'))
}

// --- entries ---

const HEAD = /^\{"seq":[1-9]\d*,"at":"[^"\\]*","account":"(?:[^"\\]|\\.)*","actor":\{/

// columns are what stands beside a text.
function columns (text) {
  if (!HEAD.test(text)) return null
  let e
  try { e = JSON.parse(text) } catch { return null }
  if (!e || typeof e.actor !== 'object') return null
  const at = micros(e.at)
  if (at === null) return null
  return { seq: e.seq, at, account: e.account, actor: e.actor.member || e.actor.key || e.actor.system || '', action: e.action, object: e.object, result: e.result }
}

const sameColumns = (row, c) => ['seq', 'at', 'account', 'actor', 'action', 'object', 'result'].every((k) => row[k] === c[k])

// --- the tree ---

class Tree {
  constructor () { this.size = 0; this.peaks = [] }

  // add gives the hashes to store: the leaf, and each subtree that it completes.
  add (leaf) {
    const added = [leaf]
    for (let n = this.size; n % 2 === 1; n = (n - 1) / 2) {
      leaf = nodeHash(this.peaks.pop(), leaf)
      added.push(leaf)
    }
    this.peaks.push(leaf)
    this.size++
    return added
  }

  root () {
    if (this.size === 0) return sha256()
    return this.peaks.reduceRight((right, left) => nodeHash(left, right))
  }
}

// included follows an inclusion proof (RFC 9162, section 2.1.3.2).
function included (index, size, leaf, proof, root) {
  if (index >= size) return false
  let fn = BigInt(index)
  let sn = BigInt(size) - 1n
  let r = leaf
  for (const p of proof) {
    if (sn === 0n) return false
    if ((fn & 1n) === 1n || fn === sn) {
      r = nodeHash(p, r)
      if ((fn & 1n) === 0n) {
        while ((fn & 1n) === 0n && fn !== 0n) { fn >>= 1n; sn >>= 1n }
      }
    } else {
      r = nodeHash(r, p)
    }
    fn >>= 1n
    sn >>= 1n
  }
  return sn === 0n && same(r, root)
}

// --- keys and checkpoints ---

const SPKI = Buffer.from('302a300506032b6570032100', 'hex') // what stands before an Ed25519 key in DER

// parseKey reads NAME+ID+KEY.
export function parseKey (text) {
  const m = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text.trim())
  const bytes = m && fromBase64(m[3])
  if (!bytes || bytes.length !== 33 || bytes[0] !== 1) throw new Error(`${text} is no key of an audit log`)
  const id = sha256(m[1] + '\n', bytes).subarray(0, 4).toString('hex')
  if (id !== m[2]) throw new Error(`the key ${text} does not fit its ID`)
  return { name: m[1], id, key: createPublicKey({ key: Buffer.concat([SPKI, bytes.subarray(1)]), format: 'der', type: 'spki' }) }
}

const CHECKPOINT = /^([^\n]+)\n([1-9]\d*)\n([^\n]{44})\nat ([^\n]+)\nnumber ([1-9]\d*)\nprevious ([^\n]{44})\nkeys ([0-9a-f,]+)\n$/

// openNote reads a signed checkpoint; null where it isn't one, or a signature of a
// key that is believed is wrong.
function openNote (note, keys) {
  const cut = note.indexOf('\n\n')
  if (cut < 0) return null
  const text = note.slice(0, cut + 1)
  const m = CHECKPOINT.exec(text)
  if (!m) return null
  const [, origin, size, root, at, number, previous, ids] = m
  const c = { text, origin, size: Number(size), root: fromBase64(root), at: micros(at), number: Number(number), previous: fromBase64(previous), signed: false }
  const lines = note.slice(cut + 2).split('\n')
  const signers = ids.split(',')
  if (!c.root || !c.previous || c.at === null || lines.pop() !== '' || lines.length !== signers.length) return null
  for (const [i, line] of lines.entries()) {
    const prefix = `\u2014 ${origin} `
    const b = line.startsWith(prefix) && fromBase64(line.slice(prefix.length))
    if (!b || b.length !== 68 || b.subarray(0, 4).toString('hex') !== signers[i]) return null
    const known = keys.find((k) => k.name === origin && k.id === signers[i])
    if (!known) continue
    if (!verify(null, Buffer.from(text, 'utf8'), known.key, b.subarray(4))) return null
    c.signed = true
  }
  return c
}

// --- a whole log ---

class Log {
  constructor (header, keys, kept) {
    this.header = header
    this.keys = keys
    this.faults = []
    this.anchors = []
    this.kept = kept.map((note) => ({ note, c: openNote(note, keys) }))
    this.tree = new Tree()
    this.proven = 0
    this.lowest = header.checkpoints + 1 // the number of the checkpoint that was seen last
    this.above = Infinity // its size
    this.vouched = null // the hash that the note before it must have
    this.seen = 0
    this.hashes = [] // that were read and not yet looked at
    this.place = 0 // of the next hash
    this.broken = false // no row is looked at after the first bad one
    for (const k of this.kept) {
      if (!k.c || !k.c.signed) this.fault(k.c ? k.c.size : 1, 'the kept checkpoint is not signed by a key that is believed')
      else if (k.c.origin !== header.origin) this.fault(1, 'the kept checkpoint is of another log')
      else this.anchors.push(k.c)
    }
  }

  fault (entry, why) { this.faults.push({ entry: Math.max(entry, 1), why }) }

  checkpoint (s) {
    this.seen++
    const want = this.lowest - 1
    if (s.number > want) this.fault(s.size, `checkpoint ${s.number} is one too many`)
    if (s.number < want) { this.fault(s.size + 1, `checkpoint ${want} is missing`); this.vouched = null }
    if (s.size >= this.above) this.fault(s.size, `checkpoint ${s.number} is not over fewer entries than the next`)
    this.lowest = s.number
    this.above = s.size
    for (const k of this.kept) if (k.c && k.c.number === s.number) k.stored = s.note
    const vouched = this.vouched
    this.vouched = null
    const follows = vouched && same(vouched, sha256(s.note))
    const c = openNote(s.note, this.keys)
    if (!c) return this.fault(s.size, `checkpoint ${s.number} is no signed checkpoint any more`)
    const root = fromBase64(s.root)
    if (c.number !== s.number || c.size !== s.size || c.at !== s.at || !root || !same(root, c.root)) return this.fault(s.size, `checkpoint ${s.number} has columns that differ from its text`)
    if (c.origin !== this.header.origin) return this.fault(s.size, `checkpoint ${s.number} is of another log`)
    if (!c.signed && !follows) return this.fault(s.size, `checkpoint ${s.number} is not signed by a key that is believed`)
    if (vouched && !follows) return this.fault(s.size, `checkpoint ${s.number} is another than the next one follows`)
    this.anchors.push(c)
    this.vouched = c.previous
  }

  // checkpointsEnd is called before the first row.
  checkpointsEnd () {
    if (this.ready) return
    this.ready = true
    if (this.lowest > 1) this.fault(1, `checkpoint ${this.lowest - 1} is missing`)
    else if (this.vouched && !same(this.vouched, Buffer.alloc(32))) this.fault(1, 'checkpoint 1 follows another')
    for (const { c, stored } of this.kept) {
      if (!c || !c.signed) continue
      if (stored === undefined) this.fault(c.size, `the kept checkpoint ${c.number} is missing`)
      else if (!stored.startsWith(c.text + '\n')) this.fault(c.size, `checkpoint ${c.number} is another than the one that was kept`)
    }
    this.anchors.sort((a, b) => a.size - b.size)
  }

  row (row, hashes) {
    this.checkpointsEnd()
    this.hashes.push(...hashes)
    if (this.broken) return
    const want = this.tree.size + 1
    const bad = (why) => { this.fault(want, why); this.broken = true }
    if (row.seq !== want) return bad(`entry ${want} is missing`)
    if (want > this.header.entries) return bad(`entry ${want} is more than the head says`)
    const c = columns(row.text)
    if (!c) return bad(`entry ${want} is no entry any more`)
    if (!sameColumns(row, c)) return bad(`entry ${want} has columns that differ from its text`)
    const added = this.tree.add(leafHash(row.text))
    for (const [level, h] of added.entries()) {
      const stored = this.hashes.shift()
      if (stored && stored[0] === this.place && stored[1] === h.toString('base64')) {
        this.place++
        continue
      }
      this.fault(want - 2 ** level + 1, `the stored hash ${this.place} is not that of the entries`)
      this.broken = true
      return
    }
    while (this.anchors.length > 0 && this.anchors[0].size === want) {
      const a = this.anchors.shift()
      if (!same(a.root, this.tree.root())) {
        this.fault(this.proven + 1, `at least one of entries ${this.proven + 1} to ${want} is another than checkpoint ${a.number} was signed over`)
        this.broken = true
        return
      }
      this.proven = want
    }
  }

  end () {
    this.checkpointsEnd()
    if (!this.broken) {
      const size = this.tree.size
      if (size < this.header.entries) this.fault(size + 1, 'the newest entries were cut off')
      else if (this.anchors.length > 0) this.fault(size + 1, `checkpoint ${this.anchors[0].number} was signed over more entries`)
      if (this.hashes.length > 0) this.fault(size, 'a stored hash belongs to no entry')
    }
    return { entries: this.tree.size, checkpoints: this.seen, root: this.tree.root().toString('base64') }
  }
}

// --- the part of one account ---

class Part {
  constructor (header, keys) {
    this.header = header
    this.keys = keys
    this.faults = []
    this.entries = 0
  }

  fault (entry, why) { this.faults.push({ entry, why }) }

  checkpoint (s) {
    const c = openNote(s.note, this.keys)
    if (!c || !c.signed || c.origin !== this.header.origin) this.fault(s.size, 'the checkpoint is not signed by a key that is believed')
    else this.c = c
  }

  part (p) {
    this.entries++
    if (!this.c) return
    let leaf
    if (p.text !== undefined) {
      const c = columns(p.text)
      if (!c || c.seq !== p.seq || c.account !== this.header.account) return this.fault(p.seq, `entry ${p.seq} is not an entry of the account`)
      leaf = leafHash(p.text)
    } else {
      leaf = fromBase64(p.leaf)
    }
    const proof = p.proof.map(fromBase64)
    if (!leaf || proof.includes(null) || !included(p.seq - 1, this.c.size, leaf, proof, this.c.root)) this.fault(p.seq, `entry ${p.seq} is not what stands at its place`)
  }

  end () { return { account: this.header.account, entries: this.entries, root: this.c ? this.c.root.toString('base64') : undefined } }
}

// verifyExport reads one export, line by line.
export async function verifyExport (lines, keys, kept) {
  let log
  let ended = false
  const have = { entries: 0, checkpoints: 0 }
  for await (const text of lines) {
    const line = JSON.parse(text)
    if (!log) {
      if (line.format !== 'postern-audit/1') throw new Error('this is no export of an audit log')
      const believed = keys.length > 0 ? keys : line.keys.map(parseKey)
      line.entries ||= 0
      line.checkpoints ||= 0
      log = line.account ? new Part(line, believed) : new Log(line, believed, kept)
      continue
    }
    if (ended) throw new Error('there are lines after the last one')
    if (line.checkpoint) { have.checkpoints++; log.checkpoint(line.checkpoint) }
    if (line.entry) { have.entries++; log.row(line.entry, line.hashes || []) } else if (line.hashes) log.hashes.push(...line.hashes)
    if (line.part) { have.entries++; log.part(line.part) }
    if (line.end) {
      ended = true
      if (line.end.entries !== have.entries || line.end.checkpoints !== have.checkpoints) throw new Error('lines are missing or were added')
    }
  }
  if (!ended) throw new Error('the export was cut short')
  const told = log.end()
  log.faults.sort((a, b) => a.entry - b.entry)
  return { sound: log.faults.length === 0, firstBad: log.faults.length ? log.faults[0].entry : undefined, ...told, faults: log.faults.slice(0, 20) }
}

async function main (args) {
  const keys = []
  const kept = []
  const files = []
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--key') keys.push(parseKey(args[++i]))
    else if (args[i] === '--checkpoint') kept.push(readFileSync(args[++i], 'utf8'))
    else files.push(args[i])
  }
  let status = 0
  for (const file of files) {
    let report
    try {
      report = await verifyExport(createInterface({ input: createReadStream(file), crlfDelay: Infinity }), keys, kept)
      if (!report.sound) status = Math.max(status, 1)
    } catch (err) {
      report = { sound: false, error: err.message }
      status = 2
    }
    console.log(JSON.stringify({ file, ...report }))
  }
  if (files.length === 0) {
    console.error('usage: node verify.mjs [--key KEY]... [--checkpoint FILE]... EXPORT...')
    status = 2
  }
  process.exitCode = status
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2))

// Runs @hubspot/mcp-server, unmodified, against the gateway, speaks MCP to it,
// and prints what its tools answered as one line of JSON.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { createRequire } from 'node:module'

const server = createRequire(import.meta.url).resolve('@hubspot/mcp-server/dist/index.js')
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [server],
  env: { ...process.env, BASE_URL_OVERRIDE: process.env.GATEWAY, PRIVATE_APP_ACCESS_TOKEN: process.env.SECRET },
  stderr: 'ignore',
})
const client = new Client({ name: 'postern-e2e', version: '1.0.0' })
await client.connect(transport)

async function call(name, args = {}) {
  const r = await client.callTool({ name, arguments: args })
  return { error: r.isError === true, text: r.content.map((c) => c.text).join('\n') }
}

const { tools } = await client.listTools()
const out = { tools: tools.map((t) => t.name) }
out.user = await call('hubspot-get-user-details')
out.list = await call('hubspot-list-objects', { objectType: 'deals', limit: 5, properties: ['dealname'] })
const id = out.list.text.match(/"id":\s*"(\d+)"/)?.[1]
out.id = id
out.read = await call('hubspot-batch-read-objects', { objectType: 'deals', inputs: [{ id }], properties: ['dealname'], propertiesWithHistory: [] })
out.search = await call('hubspot-search-objects', { objectType: 'deals', filterGroups: [], limit: 3, properties: ['dealname'] })
out.properties = await call('hubspot-list-properties', { objectType: 'deals' })
out.refused = await call('hubspot-list-objects', { objectType: 'contacts', limit: 1 })
await client.close()
console.log(JSON.stringify(out))

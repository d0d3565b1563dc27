// Calls the gateway with @hubspot/api-client, changed in nothing but its base
// path, and prints what came of it as one line of JSON. What is done is named by
// the first argument; GATEWAY and SECRET say where and with what.
import { Client } from '@hubspot/api-client'

const client = new Client({ accessToken: process.env.SECRET, basePath: process.env.GATEWAY, numberOfApiCallRetries: 0 })
const deals = client.crm.deals

const acts = {
  // read pages through all deals, searches those changed since a time, and reads in batches.
  async read(since) {
    const ids = []
    let after
    do {
      const page = await deals.basicApi.getPage(100, after, ['dealname', 'amount', 'dealstage'])
      ids.push(...page.results.map((r) => r.id))
      after = page.paging?.next?.after
      if (!(page.results[0].createdAt instanceof Date)) throw new Error('createdAt was not decoded')
    } while (after)
    const found = []
    after = '0'
    let total
    do {
      const page = await deals.searchApi.doSearch({
        filterGroups: [{ filters: [{ propertyName: 'hs_lastmodifieddate', operator: 'GTE', value: since }] }],
        sorts: ['hs_object_id'],
        properties: ['dealname', 'hs_lastmodifieddate'],
        limit: 200,
        after,
      })
      total = page.total
      found.push(...page.results)
      after = page.paging?.next?.after
    } while (after)
    const late = found.filter((r) => Date.parse(r.properties.hs_lastmodifieddate) < Number(since))
    const batch = await deals.batchApi.read({ inputs: ids.slice(0, 100).map((id) => ({ id })), properties: ['dealname'], propertiesWithHistory: [] })
    const partial = await deals.batchApi.read({ inputs: [{ id: ids[0] }, { id: '999999999' }], properties: [], propertiesWithHistory: [] })
    return {
      paged: ids.length,
      distinct: new Set(ids).size,
      searched: found.length,
      total,
      tooOld: late.length,
      batch: batch.results.length,
      status: batch.status,
      partial: partial.results.length,
      errors: partial.numErrors,
      named: batch.results.filter((r) => r.properties.dealname).length,
    }
  },
  // create tries to make a deal, which the key may not.
  async create() {
    try {
      const made = await deals.basicApi.create({ properties: { dealname: 'Never made' }, associations: [] })
      return { made: made.id }
    } catch (e) {
      return { code: e.code, category: e.body?.category, scopes: e.body?.errors?.[0]?.context?.requiredGranularScopes, message: e.body?.message, correlationId: e.body?.correlationId, header: e.headers?.['x-hubspot-correlation-id'] }
    }
  },
  // status makes one call and tells how it was answered.
  async status() {
    try {
      await deals.basicApi.getPage(1)
      return { code: 200 }
    } catch (e) {
      return { code: e.code, category: e.body?.category }
    }
  },
}

const [act, ...args] = process.argv.slice(2)
console.log(JSON.stringify(await acts[act](...args)))

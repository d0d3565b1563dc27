// Package crm is the data API that ships behind Postern: contacts, companies,
// deals, tickets and the rest of a CRM, spoken in the dialect of HubSpot's public
// CRM API, so that clients written for that API work against it with nothing
// changed but the base URL.
//
// It is a guest of Postern: it keeps its own tables (all named crm_…) and its own
// SQL, and knows of the caller only what the gateway tells it in trusted headers:
// which account, which key, which scopes. What it promises:
//
//   - An answer never mixes two accounts: every query names the account.
//   - A scope is checked before anything is said about what exists.
//   - What one call writes is written whole or not at all, and the next call sees it.
//   - Input, however wrong, is never answered with a status of 500 or above.
//
// Object types are data (types_table.go, properties_table.go): handlers know none
// of them by name, save for the few rules that the API itself gives to one type.
package crm

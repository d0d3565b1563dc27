// Package postern is the domain of Postern: accounts, members, scopes,
// credentials, secrets and the rules that decide over them.
//
// Everything here is pure. What decides takes all that it depends on as
// arguments, the time included; nothing in this package reads a clock, a file,
// a network or a database, and nothing carries a JSON or SQL tag.
package postern

// Package workbench takes old credentials out of service without an outage: it
// finds out from traffic what each of them does, says what should take its place
// and with which scopes, and watches the move.
//
// A Collector is the inventory: it groups the calls of access logs, and of traffic
// through Postern, by the credential that made them. Its memory is bounded by the
// number of credentials and operations, not by the number of calls, and what is
// left out beyond a bound is counted. It never keeps a secret: groups are known by
// a Fingerprint.
package workbench

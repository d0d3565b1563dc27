// Package rotation tells how a key's change of secret stands, and brings rotations
// to the end that their plans name.
//
// The view names the callers that still use the old secret, from what activity
// knows of addresses and programs; it is as old as the latest batch, well under a
// second. The job ends old secrets that nobody uses any more, and asks a key's
// people where somebody does and the deadline has come. One node of many does that
// at a time. Decisions never wait for it: they go by the time in the credential's
// row, which is the latest that a plan allows.
//
// A campaign is a rotation of many keys by a date: who looks after each is asked and
// reminded, each rotates as ever, and the campaign tells how far they have come.
package rotation

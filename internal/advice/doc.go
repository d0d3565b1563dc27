// Package advice says what could be taken away from keys without breaking
// anything, and what a change would have done to calls that were made.
//
// The rules are pure: they are told what a key holds, what its calls needed and
// what the catalogs say, and decide by the same core that decides about calls.
// Service reads all that, and keeps what was answered for a while.
package advice

// Package signin is how people prove who they are, and what of it lasts.
//
// A member comes in by a password with a second factor, by a long password
// alone, by a passkey, by single sign-on, or by a link that works once. Each
// gives a Session, whose text only the browser holds: kept is its HMAC under the
// pepper. A session ends after 30 idle minutes, after 12 hours whatever happens,
// when it is ended on another device, when the password changes, and when the
// member is removed.
//
// Between two steps (password and second factor, challenge and answer) the state
// travels in a Flow: sealed, bound to one purpose, short-lived and usable once.
// So a stranger who starts a thousand sign-ins leaves nothing behind.
//
// What it promises: who is no member is answered as one whose password is wrong,
// and in the same time; a guesser gets at most 100 tries in a row and ever longer
// waits, and can't keep out a member who has a device that they used before, a
// passkey, or an invitation; every sign-in and every change of a factor is in the
// audit log, written in its own transaction.
package signin

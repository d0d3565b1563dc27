// Package tripwire watches calls for what the people of a key should know: a secret
// that was ended is presented, one secret is used from two far networks at once, a
// canary is used, a burst of calls is refused.
//
// It sees each batch of activity once it is written, never a call on its way to a
// decision, and tells within seconds. What it holds in memory is bounded and only
// spares questions: whether something is told of, and by which of many nodes, the
// shared records decide, at most once an hour for each tripwire of a key. Only calls
// with a whole true secret count, so that who knows a key ID can raise no alarm.
package tripwire

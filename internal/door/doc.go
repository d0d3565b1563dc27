// Package door is what every HTTP door shares: it reads a request into the facts
// that a verification is about, and says a decision in HTTP.
//
// It promises that each fact has one source, so that no two programs on the way
// of a request take it for two different ones: the path is canonical, the
// credential is the one of a single Authorization header, and the address is that
// of the socket unless a listed proxy says otherwise. What is repeated,
// contradictory or odd is refused. A refusal tells a guesser nothing: only
// whoever presented a whole true secret learns why it doesn't work.
//
//	call := d.Read(r, postern.DoorGateway)
//	if !d.Judge(ctx, call) {
//		d.Refuse(w, call)
//	}
//	d.Done(call, verify.Outcome{Status: …})
package door

// Package httpapi is the management API, and what operations need to know of a
// server: health and metrics.
//
// Postern is its own first customer. The OpenAPI document that this package
// serves is read as a catalog like anyone's (OwnCatalog), and every management
// request is decided by verify.Verify against it, with a personal access key:
// an operation can't be reached that doesn't name its scope. What the member may
// do is then asked once more where it counts, in the keyring's transaction.
//
// What it promises: request bodies are read strictly, so that no two readers see
// two meanings; another account's id is as if it weren't there; a failure is one
// problem (RFC 9457) made in one place, which tells no cause and repeats no value
// that was sent; every request is one line in the log, without headers, bodies
// and queries; and ending a key goes through when everything else is refused for
// load.
package httpapi

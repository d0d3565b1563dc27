// Package catalog turns OpenAPI documents into a scope catalog, and a method and
// a path into the one operation that they name.
//
// It promises four things. What a document does not clearly permit is denied: an
// operation without scopes, with a security scheme that nobody declared, or with
// a requirement that can't be read stays closed and is reported. A request
// matches exactly one operation or none: templates that can't be told apart are
// refused, and no spelling of a path reaches a looser operation than the plain
// one does. Reading is bounded in time and memory, whatever the document. And
// everything that a request passes through (Canonical, Router.Find,
// Matcher.Match) is immutable, allocates nothing, and depends on its arguments
// alone.
//
// # What is read
//
// OpenAPI 3.0 and 3.1, as YAML or JSON. A reader that asked for valid documents
// would refuse most real ones, so keywords that say nothing about paths or
// security are not looked at, and oddities become findings of the Report, each
// with file, line and JSON pointer. These extensions are known:
//
//   - x-postern-scope-rule (document): "any" where the vendor lists alternatives
//     inside one security requirement; "all", the standard's meaning, otherwise.
//   - x-postern-kinds (security scheme): the kinds of credential that it admits.
//     Otherwise OAuth 2.0, OpenID Connect, HTTP bearer and API key header
//     schemes admit postern.DataKinds, and all others (HTTP basic, mutual TLS,
//     keys in cookies or queries) none, since Postern presents no such thing.
//   - x-postern-scopes (document, or security scheme): what people should know
//     of a scope: group, access, sensitive, implicit, words.
//
// The operator's own file, the Overlay, stands above all of them.
//
// # How a request is matched
//
//	canonical, err := catalog.Canonical(rawPath, catalog.PathOptions{})
//	mount, path, ok := router.Find(host, canonical)
//	op, result := mount.Matcher.Match(method, path)
//	forward(catalog.Escape(canonical))
//
// The path picks the template, segment by segment from the left: a fixed one wins
// over a mixed one ("{id}.json"), and that over a parameter. The method then
// picks the operation. Templates that differ in nothing but their parameters'
// names are refused, unless they ask for the same and the declared form of a
// parameter tells them apart for the records (see Form).
package catalog

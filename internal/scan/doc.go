// Package scan finds secrets of a brand in bytes: in files, archives, streams and
// the history of git repositories.
//
// It promises that it finds whatever postern.ParseSecret accepts, wherever it
// begins and ends, and nothing else: a checksum of 32 bits stands between a
// finding and chance. A secret is found as it is, and where its underscores are
// percent-encoded or escaped as in JSON, in UTF-16, and in base64, also across the
// borders of what is read at once. It isn't found where it was encoded twice,
// encrypted, broken over lines, or packed in a way that isn't zip, gzip or tar.
//
// Whatever is read is bounded: the size of a file, of what an archive unpacks to,
// and how deep archives may nest. What was left out is counted, never hidden.
package scan

// Package docs holds the documentation as files, so that a server can show it.
package docs

import "embed"

// Files are the pages, and what they show or link to.
//
//go:embed *.md *.svg examples pictures
var Files embed.FS

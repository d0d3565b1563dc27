package console

// The components that templates show with {{template "pill" .}} and so on; their
// markup is in templates/parts.

// pill is a state: a shape and words. Kinds: ok, warn, bad, info, and "" for what is at rest.
type pill struct{ Kind, Words string }

// button sends a form. Kinds: primary, danger, danger-quiet, quiet, and "".
type button struct{ Kind, Icon, Words, Name, Value string }

// copyButton puts a text on the clipboard; its words change and are spoken.
type copyButton struct{ Text, Words, Said string }

// tab is one of the views of a page, each with an address of its own.
type tab struct {
	Name    string
	Link    string
	Count   string // shown beside the name, empty for none
	Current bool
}

// tabs are a list of them.
type tabs struct {
	Label string
	Items []tab
}

// pager leads through a list by cursors. An empty link is an end.
type pager struct {
	Words      string // "1 to 50 of 10,214 keys"
	Prev, Next string
}

// action is a link or button of a page's head or an empty state.
type action struct {
	Words, Link, Icon string
	Primary           bool
}

// emptyState is what stands where there is nothing to show.
type emptyState struct {
	Icon    string // empty: the gate
	Heading string
	Text    string
	Actions []action
	Small   string
}

// note is a remark with a mark: info, ok, warn, bad.
type note struct{ Kind, Strong, Text string }

package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/api"
	"postern.dev/postern/internal/cli/screen"
	"postern.dev/postern/internal/scan"
)

// finding is a secret that was found, as JSON.
type finding struct {
	Path     string         `json:"path"`
	Inside   string         `json:"inside,omitempty"`
	Line     int            `json:"line"`
	Offset   int64          `json:"offset"`
	Secret   string         `json:"secret"` // its prefix and key ID
	KeyID    string         `json:"keyId"`
	Type     string         `json:"type"`
	LastFour string         `json:"lastFour"`
	Form     string         `json:"form"`
	State    string         `json:"state,omitempty"`
	Did      string         `json:"did,omitempty"`
	Revoked  bool           `json:"revoked,omitempty"`
	Commit   *findingCommit `json:"commit,omitempty"`
}

type findingCommit struct {
	ID     string    `json:"id"`
	Author string    `json:"author"`
	Email  string    `json:"email"`
	At     time.Time `json:"at,omitzero"`
}

type findingSkip struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// findings are all of them, ready to be shown: names of files and people can hold secrets too.
func findings(r *scan.Result, states map[string]api.FoundAnswer) []finding {
	hide := postern.HideSecrets
	out := make([]finding, 0, len(r.Findings))
	for _, f := range r.Findings {
		text := f.Secret.Reveal()
		a := states[text]
		one := finding{Path: hide(f.Path), Inside: hide(f.Inside), Line: f.Line, Offset: f.Offset, Secret: f.Secret.String(), KeyID: string(f.Parsed.KeyID()),
			Type: string(f.Parsed.Type), LastFour: f.Secret.LastFour(), Form: string(f.Form), State: a.State, Did: a.Did, Revoked: a.Revoked}
		if f.Commit != nil {
			one.Commit = &findingCommit{f.Commit.ID, hide(f.Commit.Author), hide(f.Commit.Email), f.Commit.At}
		}
		out = append(out, one)
	}
	return out
}

func (c *call) tellScan(format string, r *scan.Result, states map[string]api.FoundAnswer) error {
	all := findings(r, states)
	skips := func(in []scan.Skip) []findingSkip {
		out := []findingSkip{}
		for _, s := range in {
			out = append(out, findingSkip{postern.HideSecrets(s.Path), postern.HideSecrets(s.Why)})
		}
		return out
	}
	skipped, failed := skips(r.Skipped), skips(r.Failed)
	switch format {
	case "json":
		return c.WriteJSON(map[string]any{"findings": all, "more": r.More, "files": r.Files, "objects": r.Objects, "bytes": r.Bytes, "skipped": skipped, "failed": failed, "unlisted": r.Lost})
	case "sarif":
		return c.WriteJSON(sarif(c.app.Version, all))
	}
	if len(all) > 0 {
		t := &screen.Table{Columns: []screen.Column{{Title: "WHERE", Min: 20}, {Title: "SECRET"}, {Title: "ENDS IN"}, {Title: "STATE"}, {Title: "COMMIT"}, {Title: "BY", Min: 8}}}
		for _, f := range all {
			state := screen.Cell{Text: strings.TrimSpace(f.State)}
			switch {
			case f.Revoked:
				state.Text = "ended now"
			case f.State == api.FoundLive || f.State == api.FoundDormant:
				state.Tone = screen.Bad
			}
			commit, who := "", ""
			if f.Commit != nil {
				commit, who = f.Commit.ID[:min(10, len(f.Commit.ID))], f.Commit.Author
			}
			t.Row(f.where(), f.Secret, "…"+f.LastFour, state, commit, who)
		}
		c.Table(t)
	}
	for _, list := range []struct {
		words string
		of    []findingSkip
	}{{"Left out", skipped}, {"Could not be read", failed}} {
		for i, s := range list.of {
			if i == 10 {
				c.Notef("%s: %d more. See them with --json.", list.words, len(list.of)-i)
				break
			}
			c.Notef("%s: %s (%s).", list.words, screen.Clean(s.Path), screen.Clean(s.Why))
		}
	}
	c.Notef("%s", scanned(r, states))
	return nil
}

func (f *finding) where() string {
	at := f.Path
	if f.Inside != "" {
		at += "!" + f.Inside
	}
	return fmt.Sprintf("%s:%d", at, f.Line)
}

// scanned is what was done, and what to do.
func scanned(r *scan.Result, states map[string]api.FoundAnswer) string {
	read := screen.Count(r.Files, "file")
	if r.Objects > 0 {
		read += " and " + screen.Count(r.Objects, "object") + " of git history"
	}
	switch n := len(r.Findings) + r.More; {
	case n == 0:
		return "Nothing was found in " + read + "."
	case count(states, works) > 0:
		return screen.Count(n, "finding") + " in " + read + ". Rotate the keys that still work, now: a secret in a file counts as known."
	case states == nil:
		return screen.Count(n, "finding") + " in " + read + ". Add --check to ask the server which of them work."
	default:
		return screen.Count(n, "finding") + " in " + read + ". None of them works."
	}
}

// sarif is the findings in the format that code scanning reads (SARIF 2.1.0).
func sarif(version string, all []finding) any {
	type m = map[string]any
	results := []m{}
	for _, f := range all {
		level, state := "error", ""
		switch f.State {
		case api.FoundDead, api.FoundUnknown:
			level, state = "warning", " It does not work: "+f.State+"."
		case api.FoundLive:
			state = " It works."
		case api.FoundDormant:
			state = " It could work again."
		}
		text := "A Postern secret, " + f.Secret + " ending in " + f.LastFour + "." + state + " Rotate its key, and say that it was exposed."
		if f.Inside != "" {
			text += " It is in " + f.Inside + "."
		}
		if f.Commit != nil {
			text += " It came in with commit " + f.Commit.ID + "."
		}
		results = append(results, m{"ruleId": "postern-secret", "level": level, "message": m{"text": text},
			"locations":           []m{{"physicalLocation": m{"artifactLocation": m{"uri": filepath.ToSlash(f.Path)}, "region": m{"startLine": f.Line}}}},
			"partialFingerprints": m{"secret/v1": f.KeyID + "/" + f.LastFour}})
	}
	rule := m{"id": "postern-secret", "shortDescription": m{"text": "A Postern secret"},
		"help": m{"text": "Rotate the key now, say that it was exposed, and take the secret out of the file and its history."}}
	return m{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": []m{{
		"tool": m{"driver": m{"name": "postern scan", "version": version, "rules": []m{rule}}}, "results": results}}}
}

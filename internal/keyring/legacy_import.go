package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/catalog"
	"postern.dev/postern/internal/store"
)

// LegacyItem is one credential that shall be imported. Its secret is known by its
// SHA-256, or by a slow hash with a way to find it.
type LegacyItem struct {
	Line      int // of its file, for the report
	Kind      postern.Kind
	Name      string
	Note      string
	Scopes    []postern.Scope // of a private app's token; an API key holds all
	Networks  []netip.Prefix
	SunsetAt  time.Time
	ExpiresAt time.Time
	Rate      postern.Rate

	SHA256      [32]byte
	Find, Hash  string // of a slow hash; see postern.Retiring
	Slow        string // its name
	Fingerprint string // where the SHA-256 is known
	Shown       string
	Strength    postern.Strength
}

// LegacyBatch is some of the credentials of an import.
type LegacyBatch struct {
	Import string // names it, in the audit log and the list
	Items  []LegacyItem
	DryRun bool
	// Seen, where not nil, is what earlier batches of a dry run had, by mark.
	Seen map[[32]byte]bool
}

// MaxLegacyBatch is the most credentials of a batch, which is one transaction.
const MaxLegacyBatch = 500

// LegacyOutcome is what became of a credential that was to be imported.
type LegacyOutcome string

// The outcomes.
const (
	LegacyImported  LegacyOutcome = "imported"
	LegacyDuplicate LegacyOutcome = "duplicate"
	LegacyRefused   LegacyOutcome = "refused"
)

// LegacyResult is what became of one item.
type LegacyResult struct {
	Line    int
	Outcome LegacyOutcome
	ID      postern.KeyID // of the credential that is there now, in a real import
	Reason  string        // why it was refused
}

// BeginLegacyImport checks that someone may import at all, and names the import.
func (kr *Keyring) BeginLegacyImport(ctx context.Context, by postern.Actor) (id string, err error) {
	if _, err := kr.readMember(ctx, kr.db, by, postern.PermKeysWrite); err != nil {
		kr.NoteRefusal(ctx, by, actLegacyImport, "", err)
		return "", err
	}
	all, _, _, err := kr.db.LegacyCounts(ctx, by.AccountID)
	if err != nil {
		return "", err
	}
	if all >= postern.MaxLegacyPerAccount {
		return "", postern.Errorf(postern.CodeTooLarge, "The account has %d legacy credentials, which is the most.", all)
	}
	return postern.NewID("imp"), nil
}

// LegacyNames are what an import translates old names of scopes by: what the operator
// says they stand for, and the catalogs in force. Nothing of it is an account's own.
func (kr *Keyring) LegacyNames(ctx context.Context) ([]store.LegacyScope, []*catalog.Catalog, error) {
	names, err := kr.db.LegacyScopes(ctx)
	if err != nil {
		return nil, nil, err
	}
	known, err := kr.known(ctx, kr.db)
	if err != nil {
		return nil, nil, err
	}
	return names, known.catalogs, nil
}

// ImportLegacy imports a batch, all of it in one transaction: an item that can't
// be imported is left out and reported. The same batch again imports nothing. A
// dry run checks the same and changes nothing.
func (kr *Keyring) ImportLegacy(ctx context.Context, by postern.Actor, in LegacyBatch) ([]LegacyResult, error) {
	if len(in.Items) > MaxLegacyBatch {
		return nil, postern.Invalidf("items", "A batch has at most %d credentials.", MaxLegacyBatch)
	}
	var im *importer
	prepare := func(q importReader, now time.Time) (err error) {
		im = &importer{kr: kr, in: in, by: by, now: now}
		return im.prepare(ctx, q)
	}
	if in.DryRun {
		if err := prepare(kr.db, kr.now()); err != nil {
			return nil, err
		}
		return im.results, nil
	}
	_, err := kr.changeAlone(ctx, by, actLegacyImport, in.Import, func(c *change) error {
		if err := prepare(c.Tx, c.now); err != nil {
			return err
		}
		return im.write(c)
	})
	if err != nil {
		return nil, err
	}
	if im.lacking != nil {
		// The batch went through and part of it did not: that is on the record too.
		kr.NoteRefusal(ctx, by, actLegacyImport, in.Import, im.lacking)
	}
	return im.results, nil
}

// importReader is what checking a batch reads: a transaction, or the database for a dry run.
type importReader interface {
	memberReader
	catalogReader
	LegacyByMarks(context.Context, [][32]byte) (map[[32]byte]store.LegacyOwner, error)
}

// importer checks and writes one batch.
type importer struct {
	kr      *Keyring
	in      LegacyBatch
	by      postern.Actor
	now     time.Time
	results []LegacyResult
	recs    []*store.LegacyRecord
	ids     []postern.KeyID // for them
	lacking error           // the first that the importer's scopes don't allow
	allowed map[string]error
}

// prepare finds out what becomes of each item, and makes the records of those that are new.
func (im *importer) prepare(ctx context.Context, q importReader) error {
	m, err := im.kr.readMember(ctx, q, im.by, postern.PermKeysWrite)
	if err != nil {
		return err
	}
	known, err := im.kr.known(ctx, q)
	if err != nil {
		return err
	}
	im.allowed, im.ids = map[string]error{}, postern.NewKeyIDs(len(im.in.Items))
	marks := make([][][32]byte, len(im.in.Items)) // under each live pepper, the latest first
	var all [][32]byte
	for i := range im.in.Items {
		marks[i] = im.marks(&im.in.Items[i])
		all = append(all, marks[i]...)
	}
	there, err := q.LegacyByMarks(ctx, all)
	if err != nil {
		return err
	}
	fresh := map[[32]byte]bool{}
	for i := range im.in.Items {
		it := &im.in.Items[i]
		res := LegacyResult{Line: it.Line, Outcome: LegacyImported}
		owner, dup := findMark(there, marks[i])
		mark := marks[i][0]
		switch err := im.check(it, m, known); {
		case err != nil:
			e, ok := errors.AsType[*postern.Error](err)
			if !ok {
				return err
			}
			res.Outcome, res.Reason = LegacyRefused, e.Message
		case dup && owner.Account != im.by.AccountID:
			res.Outcome, res.Reason = LegacyRefused, "This secret is in use in another account of this server."
		case dup:
			res.Outcome, res.ID = LegacyDuplicate, owner.Key
		case fresh[mark] || im.in.Seen[mark]:
			res.Outcome = LegacyDuplicate
		default:
			fresh[mark] = true
			if im.in.Seen != nil {
				im.in.Seen[mark] = true
			}
			if !im.in.DryRun {
				rec := im.record(it, mark)
				im.recs = append(im.recs, rec)
				res.ID = rec.Row.Key
			}
		}
		im.results = append(im.results, res)
	}
	return nil
}

func findMark(there map[[32]byte]store.LegacyOwner, marks [][32]byte) (store.LegacyOwner, bool) {
	for _, m := range marks {
		if o, ok := there[m]; ok {
			return o, true
		}
	}
	return store.LegacyOwner{}, false
}

// marks is what an item is known by in the store, under each live pepper version, the latest first.
func (im *importer) marks(it *LegacyItem) (out [][32]byte) {
	p := im.kr.cfg.Pepper
	add := func(v uint8) {
		if it.Hash != "" {
			out = append(out, im.kr.slowMark(v, it.Find, it.Hash))
			return
		}
		d, _ := p.LegacyDigest(v, it.SHA256)
		out = append(out, d)
	}
	add(p.Latest())
	for _, v := range p.Versions() {
		if v != p.Latest() {
			add(v)
		}
	}
	return out
}

// check is the rule for one item: what it is, and whether its importer may bring it in.
func (im *importer) check(it *LegacyItem, m *postern.Member, known *scopeSet) (err error) {
	c := &change{now: im.now}
	if !it.Kind.Legacy() {
		return postern.Invalidf("kind", "Only private app tokens and API keys are imported.")
	}
	if it.Name, err = text("name", it.Name, postern.MaxNameLen, true); err != nil {
		return err
	}
	if it.Note, err = text("note", it.Note, postern.MaxDescriptionLen, false); err != nil {
		return err
	}
	if it.Networks, err = checkNetworks(it.Networks); err != nil {
		return err
	}
	if err := c.checkLife(time.Time{}, it.ExpiresAt); err != nil {
		return err
	}
	if err := c.checkSunset(it.SunsetAt); err != nil {
		return err
	}
	if err := checkRate(it.Rate); err != nil {
		return err
	}
	if it.Strength == postern.StrengthWeak && it.ExpiresAt.IsZero() {
		return postern.Invalidf("expiresAt", "This secret can be guessed, so it must have an end. Give it one.")
	}
	return im.contain(it, m, known)
}

// contain checks the scopes of an item; many items have the same.
func (im *importer) contain(it *LegacyItem, m *postern.Member, known *scopeSet) error {
	all := it.Kind == postern.KindLegacyAPIKey
	if all && len(it.Scopes) > 0 {
		return postern.Invalidf("scopes", "A legacy API key holds every scope. Import it as a legacy_private_app to give it fewer.")
	}
	memo := it.Kind.String() + " " + joinAll(it.Scopes)
	err, done := im.allowed[memo]
	if !done {
		err = im.mayImport(it, all, m, known)
		im.allowed[memo] = err
	}
	if err == nil {
		it.Scopes = postern.SortScopes(slices.Clone(it.Scopes))
	} else if errors.Is(err, postern.CodeInsufficientScope) && im.lacking == nil {
		im.lacking = err
	}
	return err
}

func (im *importer) mayImport(it *LegacyItem, all bool, m *postern.Member, known *scopeSet) error {
	for _, s := range it.Scopes {
		if ownScope(s) {
			return postern.Invalidf("scopes", "A legacy credential can't have %s: it can't reach Postern itself.", quotedScope(s, "a scope of Postern"))
		}
	}
	for _, s := range it.Scopes {
		if _, ok := known.byName[s]; !ok {
			name := quotedScope(s, "")
			if name == "" {
				return postern.Invalidf("scopes", "One of the scopes is none that anybody knows, and has not the form of a name, so it isn't shown: it may be a secret. Look whether the columns are in order.")
			}
			return postern.Invalidf("scopes", "Nobody knows the scope %s: no catalog has it, and it is no old name that is translated. "+
				"Whoever runs the server can say what it stands for: postern migrate scope-names %s --scope NAME", name, string(s))
		}
	}
	scopes, err := checkScopes(it.Scopes, nil, known)
	if err != nil {
		return err
	}
	return containLegacy(m, all, scopes, known, "import this credential")
}

// quotedScope quotes what a file has as a scope, if it looks like the name of one: in
// a file whose columns changed places it could be a secret. Otherwise it gives other.
func quotedScope(s postern.Scope, other string) string {
	text, digits := string(s), 0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'a' && r <= 'z', strings.ContainsRune(".-_:/", r):
		default:
			return other
		}
	}
	if !s.Valid() || len(text) > 100 || digits > 4 || postern.HideSecrets(text) != text {
		return other
	}
	return strconv.Quote(text)
}

func joinAll(scopes []postern.Scope) string {
	var b []byte
	for _, s := range scopes {
		b = append(append(b, s...), ' ')
	}
	return string(b)
}

// record makes the record of a new credential.
func (im *importer) record(it *LegacyItem, mark [32]byte) *store.LegacyRecord {
	p := im.kr.cfg.Pepper
	rec := &store.LegacyRecord{Finger: im.kr.finger(p.Latest(), it.Fingerprint)}
	rec.Row = postern.CredentialRow{Key: im.ids[len(im.recs)], AccountID: im.by.AccountID, Kind: it.Kind, Scopes: it.Scopes,
		AllScopes: it.Kind == postern.KindLegacyAPIKey, Networks: it.Networks, Rate: it.Rate, Revision: 1,
		Current:  postern.SecretHash{Hash: mark, Pepper: p.Latest(), Generation: 1},
		Retiring: &postern.Retiring{DeprecatedAt: im.now.Truncate(time.Second), Find: it.Find, Hash: it.Hash}}
	if it.Hash != "" {
		rec.Mark = mark[:]
	}
	if !it.ExpiresAt.IsZero() {
		rec.Row.ExpiresAt = whole(it.ExpiresAt)
	}
	if !it.SunsetAt.IsZero() {
		rec.Row.Retiring.SunsetAt = whole(it.SunsetAt)
	}
	(&change{now: im.now}).boundWeak(&rec.Row, it.Strength)
	rec.Row.Seal(p)
	rec.Legacy = postern.LegacyCredential{Name: it.Name, Note: it.Note, Shown: it.Shown, Strength: it.Strength, Slow: it.Slow,
		Import: im.in.Import, MadeBy: im.by.MemberID, CreatedAt: im.now, UpdatedAt: im.now}
	return rec
}

// write writes the new records, with one audit entry that names them.
func (im *importer) write(c *change) error {
	if len(im.recs) == 0 {
		return nil
	}
	if err := c.InsertLegacy(c.ctx, im.recs); err != nil {
		return err
	}
	changes := make([]postern.Change, len(im.recs))
	ids := make([]postern.KeyID, len(im.recs))
	var scopes []postern.Scope
	apiKeys := 0
	digest := sha256.New()
	for i, r := range im.recs {
		ids[i] = r.Row.Key
		changes[i] = postern.Change{At: c.now, Kind: postern.ChangeCredential, AccountID: r.Row.AccountID, ID: string(r.Row.Key)}
		digest.Write(r.Row.Current.Hash[:])
		if r.Row.AllScopes {
			apiKeys++
		}
		if len(scopes) <= postern.MaxScopesPerKey {
			scopes = postern.SortScopes(append(scopes, r.Row.Scopes...))
		}
	}
	if err := c.AppendFeeds(c.ctx, changes); err != nil {
		return err
	}
	counts := map[LegacyOutcome]int{}
	for _, r := range im.results {
		counts[r.Outcome]++
	}
	return c.audit(actLegacyImport, im.in.Import, "", diff(nil, map[string]any{
		"imported": counts[LegacyImported], "duplicates": counts[LegacyDuplicate], "refused": counts[LegacyRefused], "apiKeys": apiKeys,
		"firstLine": im.in.Items[0].Line, "lastLine": im.in.Items[len(im.in.Items)-1].Line,
		"scopes": scopes, "credentials": ids, "digest": hex.EncodeToString(digest.Sum(nil))}))
}

package crm

import (
	"database/sql"
	"net/http"
	"slices"
	"strings"
)

// maxBatch is how many records one call reads or writes.
const maxBatch = 100

func sizeOf(n, most int) error {
	if n == 0 {
		return invalid("inputs must hold at least one element.")
	}
	if n > most {
		return invalid("inputs holds %d elements, and the maximum is %d.", n, most)
	}
	return nil
}

// couldNotGet is the item of a batch that stands for all records that weren't found.
func couldNotGet(t *objectType, ids []string) batchError {
	return notFound("Could not get some %s objects, they may be deleted or not exist. Check that ids are valid.", t.upper()).with("ids", ids...).item()
}

// batchRead reads records by their ids or by a unique property.
func batchRead(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(false, t)
	}
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Inputs []struct {
			ID scalar `json:"id"`
		} `json:"inputs"`
		Properties            []string `json:"properties"`
		PropertiesWithHistory []string `json:"propertiesWithHistory"`
		IDProperty            string   `json:"idProperty"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	w, err := c.want()
	if err != nil {
		return 0, nil, err
	}
	w.properties = append(w.properties, splitList(in.Properties)...)
	w.history = append(w.history, splitList(in.PropertiesWithHistory)...)
	most := maxBatch
	if len(w.history) > 0 {
		most = maxHistoryPage
	}
	if err := sizeOf(len(in.Inputs), most); err != nil {
		return 0, nil, err
	}
	q := c.s.db.Read()
	defs, err := definitionsOf(c.ctx(), q, c.acct, t)
	if err != nil {
		return 0, nil, err
	}
	if err := c.maySearch(t, defs, in.IDProperty); err != nil {
		return 0, nil, err
	}
	var asked []string
	for _, i := range in.Inputs {
		asked = append(asked, string(i.ID))
	}
	ids, err := lookup(c.ctx(), q, c.acct, t, defs, in.IDProperty, asked)
	if err != nil {
		return 0, nil, err
	}
	var want []int64
	for _, id := range ids {
		want = append(want, id)
	}
	found, err := recordsByID(c.ctx(), q, c.acct, t, want, w.archived)
	if err != nil {
		return 0, nil, err
	}
	var records []*record
	var missing []string
	seen := map[int64]bool{}
	for _, v := range asked {
		r := found[ids[v]]
		switch {
		case r == nil:
			missing = append(missing, v)
		case !seen[r.id]:
			seen[r.id] = true
			records = append(records, r)
		}
	}
	results, err := c.replies(q, t, defs, records, w)
	if err != nil {
		return 0, nil, err
	}
	var errs []batchError
	if len(missing) > 0 {
		errs = append(errs, couldNotGet(t, missing))
	}
	return c.batchReply(http.StatusOK, results, errs)
}

// batchInput is the body of the batches that write.
type batchInput struct {
	Inputs []writeInput `json:"inputs"`
}

// traced reports whether a batch asks to hear of each row by itself.
func (b batchInput) traced() bool {
	return slices.ContainsFunc(b.Inputs, func(i writeInput) bool { return i.TraceID != "" })
}

// writeBatch reads the body of a batch and runs fn in a transaction.
func writeBatch(c *call, fn func(w *writer, in batchInput) error) error {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return err
	}
	var in batchInput
	if err := c.body(&in); err != nil {
		return err
	}
	if err := sizeOf(len(in.Inputs), maxBatch); err != nil {
		return err
	}
	return c.s.write(c.ctx(), c.acct, func(tx *sql.Tx) error {
		w, err := c.writer(tx, t)
		if err != nil {
			return err
		}
		return fn(w, in)
	})
}

func batchCreate(c *call) (int, any, error) {
	var results []*recordReply
	var errs []batchError
	err := writeBatch(c, func(w *writer, in batchInput) error {
		results, errs = []*recordReply{}, nil
		var drafts []*draft
		for _, i := range in.Inputs {
			drafts = append(drafts, w.newDraft(i))
		}
		good, bad, err := w.sift(drafts, in.traced())
		if err != nil {
			return err
		}
		errs = bad
		if err := w.save(good); err != nil {
			return err
		}
		for _, d := range good {
			results = append(results, w.result(d, false))
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(http.StatusCreated, results, errs)
}

// result is a written record in the answer to a batch.
func (w *writer) result(d *draft, upsert bool) *recordReply {
	r := w.c.reply(w.typ, d.rec, w.c.present(w.typ, w.defs, d.rec))
	r.TraceID = d.in.TraceID
	if upsert {
		r.New = &d.isNew
	}
	return r
}

// sift prepares drafts. Where each row is to be heard of by itself, those that
// fail become items; else any that fails refuses the whole call.
func (w *writer) sift(drafts []*draft, each bool) (good []*draft, errs []batchError, err error) {
	if err := w.prepare(drafts); err != nil {
		return nil, nil, err
	}
	var values []valueError
	var first *fault
	for _, d := range drafts {
		f := d.failed()
		switch {
		case f == nil:
			good = append(good, d)
		case each:
			item := f.item()
			ctx := map[string][]string{"objectWriteTraceId": {d.in.TraceID}}
			if f.Category == catConflict {
				if _, id, ok := strings.Cut(f.Message, "Existing ID: "); ok {
					ctx["existingId"] = []string{id}
				}
			}
			for k, v := range f.Context {
				ctx[k] = v
			}
			item.Context = ctx
			errs = append(errs, item)
		case d.fault == nil:
			values = append(values, d.bad...)
		case first == nil:
			first = f
		}
	}
	// What is malformed is told before what clashes.
	if len(values) > 0 {
		return nil, nil, badValues(values)
	}
	if first != nil {
		return nil, nil, first
	}
	return good, errs, nil
}

func batchUpdate(c *call) (int, any, error) {
	var results []*recordReply
	var errs []batchError
	err := writeBatch(c, func(w *writer, in batchInput) error {
		results, errs = []*recordReply{}, nil
		for i := range in.Inputs {
			in.Inputs[i].Associations = nil
		}
		drafts, missing, err := w.load(in.Inputs)
		if err != nil {
			return err
		}
		good, bad, err := w.sift(drafts, false)
		if err != nil {
			return err
		}
		if err := w.save(good); err != nil {
			return err
		}
		errs = bad
		if len(missing) > 0 {
			errs = append(errs, couldNotGet(w.typ, missing))
		}
		for _, d := range good {
			results = append(results, w.result(d, false))
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(http.StatusOK, results, errs)
}

// load finds the records that inputs are about, and gives a draft for each.
func (w *writer) load(inputs []writeInput) (drafts []*draft, missing []string, err error) {
	ids, err := w.idsOf(inputs)
	if err != nil {
		return nil, nil, err
	}
	found, err := recordsByID(w.c.ctx(), w.tx, w.c.acct, w.typ, keys(ids.all), false)
	if err != nil {
		return nil, nil, err
	}
	var bad []valueError
	seen := map[int64]bool{}
	var twice []string
	for i, in := range inputs {
		id, ok := ids.of[i], false
		r := found[id]
		if ok = r != nil; !ok {
			missing = append(missing, string(in.ID))
			// Bad values are told even where the record isn't there.
			probe := w.newDraft(in)
			_, b := w.accept(w.c, probe.rec, in.Properties)
			bad = append(bad, b...)
			continue
		}
		if seen[id] {
			twice = append(twice, string(in.ID))
			continue
		}
		seen[id] = true
		drafts = append(drafts, oldDraft(in, r))
	}
	if len(twice) > 0 {
		return nil, nil, invalid("Duplicate IDs found in batch input: [%s]. IDs must be unique", strings.Join(twice, ", ")).with("ids", twice...)
	}
	if len(bad) > 0 {
		return nil, nil, badValues(bad)
	}
	return drafts, missing, nil
}

// inputIDs are the ids of the records that inputs mean, by their place; 0 where none is meant.
type inputIDs struct {
	of  []int64
	all map[int64]bool
}

func (w *writer) idsOf(inputs []writeInput) (inputIDs, error) {
	byProperty := map[string][]string{}
	for _, in := range inputs {
		byProperty[in.IDProperty] = append(byProperty[in.IDProperty], string(in.ID))
	}
	out := inputIDs{of: make([]int64, len(inputs)), all: map[int64]bool{}}
	for _, p := range sortedKeys(byProperty) {
		if err := w.c.maySearch(w.typ, w.defs, p); err != nil {
			return out, err
		}
		found, err := lookup(w.c.ctx(), w.tx, w.c.acct, w.typ, w.defs, p, byProperty[p])
		if err != nil {
			return out, err
		}
		for i, in := range inputs {
			if id, ok := found[string(in.ID)]; ok && in.IDProperty == p {
				out.of[i] = id
				out.all[id] = true
			}
		}
	}
	return out, nil
}

func batchUpsert(c *call) (int, any, error) {
	var results []*recordReply
	var errs []batchError
	err := writeBatch(c, func(w *writer, in batchInput) error {
		results, errs = []*recordReply{}, nil
		if err := w.upsertable(in.Inputs); err != nil {
			return err
		}
		ids, err := w.idsOf(in.Inputs)
		if err != nil {
			return err
		}
		found, err := recordsByID(c.ctx(), w.tx, c.acct, w.typ, keys(ids.all), false)
		if err != nil {
			return err
		}
		var drafts []*draft
		seen := map[string]bool{}
		for i, row := range in.Inputs {
			row.Associations = nil
			key := row.IDProperty + "\n" + wordOf(w.defs[row.IDProperty], strings.TrimSpace(string(row.ID)))
			if r := found[ids.of[i]]; r != nil {
				key = formatID(r.id)
				drafts = append(drafts, oldDraft(row, r))
			} else {
				drafts = append(drafts, w.newDraft(row.withID()))
			}
			if seen[key] {
				return invalid("Duplicate IDs found in batch input: [%s]. IDs must be unique", row.ID).with("ids", string(row.ID))
			}
			seen[key] = true
		}
		good, bad, err := w.sift(drafts, in.traced())
		if err != nil {
			return err
		}
		if err := w.save(good); err != nil {
			return err
		}
		errs = bad
		for _, d := range good {
			results = append(results, w.result(d, true))
		}
		return nil
	})
	if err != nil {
		return 0, nil, err
	}
	return c.batchReply(http.StatusOK, results, errs)
}

// withID is the input with the value that identifies it among its properties.
func (in writeInput) withID() writeInput {
	props := map[string]scalar{in.IDProperty: in.ID}
	for k, v := range in.Properties {
		props[k] = v
	}
	in.Properties = props
	return in
}

// upsertable refuses inputs that don't say by what a record is known.
func (w *writer) upsertable(inputs []writeInput) error {
	for _, in := range inputs {
		switch p := w.defs[in.IDProperty]; {
		case in.IDProperty == "":
			return invalid("Every input needs an idProperty.").with("propertyName", "idProperty")
		case in.IDProperty == "hs_object_id":
			return invalid("A record can't be created with a chosen id: use a property with unique values as idProperty.")
		case p == nil || !p.HasUniqueValue:
			return badRequestDetail("INVALID_ID_PROPERTY", "idProperty", "Property %q of %s is not a property with unique values.", in.IDProperty, w.typ.Plural)
		case strings.TrimSpace(string(in.ID)) == "":
			return invalid("Every input needs an id.")
		}
	}
	return nil
}

// batchArchive hides records; ids that aren't there are no failure.
func batchArchive(c *call) (int, any, error) {
	t, err := c.typ("objectType")
	if err == nil {
		err = c.requireAll(true, t)
	}
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Inputs []struct {
			ID scalar `json:"id"`
		} `json:"inputs"`
	}
	if err := c.body(&in); err != nil {
		return 0, nil, err
	}
	if err := sizeOf(len(in.Inputs), maxBatch); err != nil {
		return 0, nil, err
	}
	var ids []int64
	for _, i := range in.Inputs {
		if id, ok := recordID(string(i.ID)); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return http.StatusNoContent, nil, nil
	}
	return http.StatusNoContent, nil, c.archive(t, ids)
}

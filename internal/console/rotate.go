package console

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"postern.dev/postern"
	"postern.dev/postern/internal/activity"
	"postern.dev/postern/internal/keyring"
)

// rotateRoutes are the change of a key's secret: choose, copy, watch (console.md
// section 6.4). What the third step shows is in rotate_watch.go.
func (c *Console) rotateRoutes() []route {
	read, write := []postern.Permission{postern.PermKeysRead}, []postern.Permission{postern.PermKeysWrite}
	return []route{
		{Pattern: "GET /keys/{id}/rotate", Serve: c.askRotate, Need: write},
		{Pattern: "POST /keys/{id}/rotate", Serve: c.rotate, Need: write, Repeats: true},
		{Pattern: "GET /keys/{id}/rotate/live", Quiet: true, Serve: c.rotateLive, Need: read},
		{Pattern: "GET /keys/{id}/rotate/longer", Serve: c.askRotation("longer"), Need: write},
		{Pattern: "POST /keys/{id}/rotate/longer", Serve: c.keepLonger, Need: write},
		{Pattern: "GET /keys/{id}/rotate/finish", Serve: c.askRotation("finish"), Need: write},
		{Pattern: "POST /keys/{id}/rotate/finish", Serve: c.finishRotation, Need: write, Fresh: true},
		{Pattern: "GET /keys/{id}/rotate/cancel", Serve: c.askRotation("cancel"), Need: write},
		{Pattern: "POST /keys/{id}/rotate/cancel", Serve: c.cancelRotation, Need: write, Fresh: true},
	}
}

const (
	placesMost = 8 // places whose rhythm is looked at
	placeCalls = 60
)

// place is where a key is used: an address and a program.
type place struct {
	Tool, Agent, IP string
	Calls           int64 // in 30 days
	First, Last     time.Time
	OldLast         time.Time // of the latest call with the old secret
	OldCalls        int64
	NewFirst        time.Time
	NewLast         time.Time
	Every           time.Duration // between its runs; 0 where there is no rhythm
	New             bool          // first seen in the last 7 days

	Kind, State string // of its pill while a rotation goes on
}

// Name is what a place is called.
func (p *place) Name() string { return callerRow{Tool: p.Tool, IP: p.IP}.Name() }

// Rhythm says how often a place calls.
func (p *place) Rhythm() string { return everyWords(p.Every) }

// Due is when the next call is expected; zero where that can't be told.
func (p *place) Due() time.Time {
	last := p.OldLast
	if last.IsZero() {
		last = p.Last
	}
	if p.Every == 0 || last.IsZero() {
		return time.Time{}
	}
	return last.Add(p.Every)
}

// DueWords says when the next call is due.
func (p *place) DueWords(now time.Time) string {
	due := p.Due()
	switch {
	case due.IsZero():
		return "at a time that we cannot tell"
	case due.Sub(now) < time.Minute:
		return "any moment"
	}
	return inWords(due, now)
}

// ADay is about how many calls a place makes a day.
func (p *place) ADay() string {
	span := p.Last.Sub(p.First)
	if p.Calls < 20 || span < 24*time.Hour {
		return num(p.Calls) + " in all"
	}
	return num(max(1, int64(float64(p.Calls)*float64(24*time.Hour)/float64(span)))) + " a day"
}

func everyWords(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < 90*time.Second:
		return "all the time"
	case d < 55*time.Minute:
		return "every " + count(int64((d+30*time.Second)/time.Minute), "minute", "min")
	case d < 90*time.Minute:
		return "hourly"
	case d < 22*time.Hour:
		return "every " + count(int64((d+30*time.Minute)/time.Hour), "hour", "hours")
	case d < 36*time.Hour:
		return "daily"
	case d >= 6*24*time.Hour && d < 8*24*time.Hour:
		return "weekly"
	}
	return "every " + count(int64((d+12*time.Hour)/(24*time.Hour)), "day", "days")
}

// rhythm finds how far apart the runs of something lie, from the times of its
// calls, the latest first. Calls within a minute of each other are one run.
func rhythm(calls []time.Time) time.Duration {
	if len(calls) < 3 {
		return 0
	}
	runs := []time.Time{calls[0]}
	for i := 1; i < len(calls); i++ {
		if calls[i-1].Sub(calls[i]) >= time.Minute {
			runs = append(runs, calls[i])
		}
	}
	if len(runs) < 3 {
		if len(runs) == 1 && len(calls) >= 10 {
			return max(time.Second, calls[0].Sub(calls[len(calls)-1])/time.Duration(len(calls)-1))
		}
		return 0
	}
	gaps := make([]time.Duration, 0, len(runs)-1)
	for i := 1; i < len(runs); i++ {
		gaps = append(gaps, runs[i-1].Sub(runs[i]))
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// placesOf are where a key was used in 30 days, for those who may see calls: for
// others there are none, and the pages say why. With
// a change at some time they are told apart by which secret they used since.
func (c *Console) placesOf(v *visit, k *postern.ServiceKey, watch bool) ([]place, error) {
	if !v.can(postern.PermActivityRead) {
		return nil, nil
	}
	ctx := v.r.Context()
	list, err := c.cfg.Activity.Callers(ctx, v.by.AccountID, k.ID, 0, v.now.Add(-callersSince))
	if err != nil {
		return nil, err
	}
	var out []place
	for _, one := range list {
		if one.Generation != k.Current.Generation && one.Generation != k.Previous.Generation {
			continue
		}
		if one.Calls == one.Refused && !watch {
			continue // nothing that was ever let in
		}
		tool := toolName(one.UserAgent)
		i := slices.IndexFunc(out, func(p place) bool { return p.IP == one.IP && p.Tool == tool })
		if i < 0 {
			i = len(out)
			out = append(out, place{Tool: tool, Agent: one.UserAgent, IP: one.IP, First: one.FirstAt, Last: one.LastAt})
		}
		p := &out[i]
		p.Calls += one.Calls
		p.First = earlier(p.First, one.FirstAt)
		if one.LastAt.After(p.Last) {
			p.Last, p.Agent = one.LastAt, one.UserAgent
		}
		switch one.Generation {
		case k.Previous.Generation:
			p.OldCalls += one.Calls
			p.OldLast = later(p.OldLast, one.LastAt)
		case k.Current.Generation:
			if p.NewFirst.IsZero() || one.FirstAt.Before(p.NewFirst) {
				p.NewFirst = one.FirstAt
			}
			p.NewLast = later(p.NewLast, one.LastAt)
		}
	}
	slices.SortStableFunc(out, func(a, b place) int { return cmp.Compare(b.Calls, a.Calls) })
	young := v.now.Sub(k.CreatedAt) < newCaller
	for i := range out {
		p := &out[i]
		p.New = !young && v.now.Sub(p.First) < newCaller
		if i >= placesMost || p.IP == "" {
			continue
		}
		f := activity.Filter{Account: v.by.AccountID, Key: k.ID, IP: p.IP, Since: v.now.Add(-callersSince)}
		if len(p.Agent) < 200 {
			f.UserAgent = p.Agent
		}
		if watch {
			f.Generation = k.Previous.Generation
		}
		calls, _, err := c.cfg.Activity.Query(ctx, f, activity.Cursor{}, placeCalls)
		if err != nil {
			return nil, err
		}
		times := make([]time.Time, len(calls))
		for j := range calls {
			times[j] = calls[j].At
		}
		p.Every = rhythm(times)
	}
	return out, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// rotateView is the first step: choose how.
type rotateView struct {
	keyHead
	Exposed bool
	Ends    time.Time // the key's own end, where the usual grace would pass it
	Places  []place
	Hour    int64 // calls an hour, on the average of 7 days
	Missing []string
	Other   bool // a grace of one's own is chosen
}

func (c *Console) rotatePage(v *visit, s *keySnap, h keyHead, f *form) (*rotateView, error) {
	h.F, h.Scripts = f, []string{"rotate.js"}
	view := &rotateView{keyHead: h, Exposed: f.Get("why") == "exposed", Missing: v.lacks(s, &h.K), Hour: (h.Week + 84) / 168}
	view.Other = f.Get("grace") == "other"
	if x := h.K.ExpiresAt; !x.IsZero() && x.Sub(v.now) < postern.MaxGrace {
		view.Ends = x
	}
	var err error
	view.Places, err = c.placesOf(v, &h.K, false)
	return view, err
}

func (c *Console) askRotate(v *visit) error {
	s, h, err := c.keyOf(v, "Rotate the secret of")
	if err != nil {
		return err
	}
	if !h.Live {
		return errEndedKey(&h.K)
	}
	if h.Rotating {
		return c.watchRotation(v, h, v.query("why") != "")
	}
	why := "later"
	if v.query("why") == "exposed" {
		why = "exposed"
	}
	view, err := c.rotatePage(v, s, h, newForm("why", why, "grace", "7", "days", "14", "ends", string(postern.EndAtDeadline), "idle", "24"))
	if err != nil {
		return err
	}
	return v.render("rotate", view)
}

// madeView is the second step: the new secret, this once.
type madeView struct {
	keyHead
	Secret  string
	Again   bool // it was shown before
	MadeAt  time.Time
	Ends    time.Time // of the old one; zero where it has ended
	Held    bool      // somebody is asked before the old one ends
	Early   bool      // the old one ends sooner once it is unused
	Exposed bool
	Places  []place
	Rows    []callerRow // every address, where the old one was exposed
	News    int
	Receipt receiptWords
	Audit   string // the address of the audit entry
}

// rotate makes the new secret and shows it.
func (c *Console) rotate(v *visit) error {
	v.showsSecret()
	s, h, err := c.keyOf(v, "Rotate the secret of")
	if err != nil {
		return err
	}
	f := v.sent()
	exposed := f.Get("why") == "exposed"
	if v.again {
		return v.render("rotate_made", &madeView{keyHead: h, Again: true, MadeAt: h.K.Current.MadeAt, Exposed: exposed})
	}
	grace := f.grace(exposed)
	if f.OK() && !c.cfg.Signin.IsFresh(v.session) {
		v.secret = false // nothing was made yet
		return v.askAgain()
	}
	status := http.StatusUnprocessableEntity
	if f.OK() {
		made, err := c.kr.RotateKey(v.r.Context(), v.by, h.K.ID, f.plan(keyring.Rotation{Grace: grace, IfRevision: revisionOf(f)}))
		if err == nil {
			return c.showMade(v, h, made, exposed)
		}
		if errors.Is(err, postern.CodeConflict) && h.Rotating {
			return c.watchRotation(v, h, true)
		}
		if status, err = c.notSaved(v, &h, f, err); err != nil {
			return err
		}
	}
	view, err := c.rotatePage(v, s, h, f)
	if err != nil {
		return err
	}
	view.Error = true
	return v.show(status, "rotate", view)
}

// grace reads how long the old secret shall work on.
func (f *form) grace(exposed bool) time.Duration {
	if exposed {
		return 0
	}
	text, field := f.Get("grace"), "grace"
	if text == "other" {
		text, field = f.Get("days"), "days"
	}
	n, err := strconv.Atoi(text)
	if most := int(postern.MaxGrace / (24 * time.Hour)); err != nil || n < 1 || n > most {
		f.Wrong(field, "Give 1 to %d days.", most)
		return 0
	}
	return time.Duration(n) * 24 * time.Hour
}

func (c *Console) showMade(v *visit, was keyHead, made keyring.Made, exposed bool) error {
	h := was
	h.K, h.Rotating = made.Key, made.Key.Rotating(v.now)
	h.Scripts = []string{"rotate.js"}
	view := &madeView{keyHead: h, Secret: made.Secret.Reveal(), MadeAt: made.Key.Current.MadeAt, Exposed: exposed}
	if h.Rotating {
		view.Ends = made.Key.Previous.EndsAt
		how := postern.RotationEnd(v.r.PostFormValue("ends"))
		view.Held, view.Early = how == postern.EndHold, how == postern.EndWhenIdle
	}
	// The secret is made and must be shown, whatever else can't be.
	var err error
	if view.Places, err = c.placesOf(v, &made.Key, true); err != nil {
		v.err = err
	}
	if exposed {
		view.Receipt = c.receipt(v, made.Seq)
		if v.can(postern.PermActivityRead) {
			if view.Rows, err = c.callersOf(v, &made.Key, 0); err != nil {
				v.err = err
			}
		}
		for _, r := range view.Rows {
			if r.New {
				view.News++
			}
		}
		if v.can(postern.PermAuditRead) {
			view.Audit = h.Tab("history")
		}
	}
	return v.render("rotate_made", view)
}

// rotationView asks before a rotation is kept longer, finished or cancelled.
type rotationView struct {
	keyHead
	Act     string
	Users   []place // who still uses the secret that would end
	Others  int     // beyond the first
	Moved   []place // who uses the new one already, and would fail after a cancel
	Until   time.Time
	Held    bool // it can be put off as often as needed, up to Until
	Longest int
}

func (c *Console) rotationPage(v *visit, h keyHead, act string) (*rotationView, error) {
	view := &rotationView{keyHead: h, Act: act, Until: h.K.Previous.EndsAt, Longest: int(keyring.MaxExtension / (24 * time.Hour))}
	plan, err := c.kr.Rotation(v.r.Context(), v.by, h.K.ID)
	if err != nil {
		return nil, err
	}
	view.Held = plan != nil && plan.Ends == postern.EndHold
	places, err := c.placesOf(v, &h.K, true)
	if err != nil {
		return nil, err
	}
	mark(places, &h.K, v.now)
	for _, p := range places {
		if p.Kind == "warn" {
			view.Users = append(view.Users, p)
		}
		if !p.NewLast.IsZero() {
			view.Moved = append(view.Moved, p)
		}
	}
	view.Others = max(0, len(view.Users)-1)
	return view, nil
}

var rotationTitles = map[string]string{"longer": "Keep the old secret longer:", "finish": "End the old secret of", "cancel": "Cancel the rotation of"}

func (c *Console) askRotation(act string) func(*visit) error {
	return func(v *visit) error {
		_, h, err := c.keyOf(v, rotationTitles[act])
		if err != nil {
			return err
		}
		if !h.Rotating || !h.Live {
			return v.warn(h.Link(""), "No rotation is under way: the key has one secret.")
		}
		view, err := c.rotationPage(v, h, act)
		if err != nil {
			return err
		}
		view.F = newForm("more", "7")
		return v.render("rotate_ask", view)
	}
}

// rotation does what one of the forms asks for, and tells of it.
func (c *Console) rotation(v *visit, act string, do func(h *keyHead, revision int64) (keyring.Made, error)) (*keyHead, keyring.Made, error) {
	_, h, err := c.keyOf(v, rotationTitles[act])
	if err != nil {
		return nil, keyring.Made{}, err
	}
	h.F = v.sent()
	made, err := do(&h, revisionOf(h.F))
	if err == nil {
		return &h, made, nil
	}
	if errors.Is(err, postern.CodeConflict) && !h.Rotating {
		return nil, made, v.warn(h.Link(""), "No rotation is under way: the key has one secret.")
	}
	status, err := c.notSaved(v, &h, h.F, err)
	if err != nil {
		return nil, made, err
	}
	view, err := c.rotationPage(v, h, act)
	if err != nil {
		return nil, made, err
	}
	view.Error = true
	return nil, made, v.show(status, "rotate_ask", view)
}

func (c *Console) keepLonger(v *visit) error {
	h, made, err := c.rotation(v, "longer", func(h *keyHead, revision int64) (keyring.Made, error) {
		n, err := strconv.Atoi(h.F.Get("more"))
		if most := int(keyring.MaxExtension / (24 * time.Hour)); err != nil || n < 1 || n > most {
			return keyring.Made{}, postern.Invalidf("more", "Give 1 to %d days.", most)
		}
		return c.kr.ExtendRotation(v.r.Context(), v.by, h.K.ID, time.Duration(n)*24*time.Hour, revision)
	})
	if h == nil {
		return err
	}
	plan, err := c.kr.Rotation(v.r.Context(), v.by, h.K.ID)
	if err == nil && plan != nil && plan.Ends == postern.EndHold {
		return v.done(h.Link("rotate"), "The old secret goes on. You are asked again on "+longTime(plan.Deadline, v.zone)+" if it is still used.")
	}
	return v.done(h.Link("rotate"), "The old secret now works until "+longTime(made.Key.Previous.EndsAt, v.zone)+".")
}

func (c *Console) finishRotation(v *visit) error {
	h, made, err := c.rotation(v, "finish", func(h *keyHead, revision int64) (keyring.Made, error) {
		return c.kr.FinishRotation(v.r.Context(), v.by, h.K.ID, revision)
	})
	if h == nil {
		return err
	}
	return v.done(h.Link(""), "The old secret …"+h.K.Previous.LastFour+" has ended. "+c.receipt(v, made.Seq).Said())
}

func (c *Console) cancelRotation(v *visit) error {
	h, made, err := c.rotation(v, "cancel", func(h *keyHead, revision int64) (keyring.Made, error) {
		return c.kr.CancelRotation(v.r.Context(), v.by, h.K.ID, revision)
	})
	if h == nil {
		return err
	}
	return v.done(h.Link(""), "The rotation is cancelled. The secret …"+made.Key.Current.LastFour+" stays, and …"+h.K.Current.LastFour+" is void.")
}

// longTime is a time as a sentence has it.
func longTime(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Monday 2 January, 15:04")
}

// Now is when the page is shown.
func (view *rotationView) Now() time.Time { return view.now() }

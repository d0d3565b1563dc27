package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern.dev/postern"
)

// TestAnswersAreBounded: by number, by bytes and by age, and never one that is still being answered.
func TestAnswersAreBounded(t *testing.T) {
	var a answers
	open, first := a.take("open", t0)
	if !first {
		t.Fatal("the first sending is not the first")
	}
	body := make([]byte, answerBytes)
	fill := func(n int, at time.Time, body []byte) {
		t.Helper()
		for i := range n {
			ans, first := a.take(fmt.Sprint(at, i), at)
			if !first {
				t.Fatalf("%d was there", i)
			}
			ans.body, ans.header = body, http.Header{"Location": {"/keys"}}
			a.give(ans, at)
		}
	}
	fill(3*answersBytes/answerBytes, t0, body)
	if a.bytes > answersBytes || a.bytes < answersBytes-2*answerBytes {
		t.Errorf("%d bytes are kept, want at most %d and close to it", a.bytes, answersBytes)
	}
	later := t0.Add(answersKept + time.Second)
	if _, first := a.take("another", later); !first || len(a.by) != 2 || a.bytes != 0 {
		t.Errorf("%d answers of %d bytes are kept after their time, want the two without an answer", len(a.by), a.bytes)
	}
	fill(2*answersMax, later, nil)
	if len(a.by) > answersMax || len(a.order) != len(a.by) {
		t.Errorf("%d answers are kept, want at most %d", len(a.by), answersMax)
	}
	if again, first := a.take("open", later.Add(time.Hour)); first || again != open {
		t.Error("a sending that is being answered was forgotten")
	}
	if len(a.by) != 2 {
		t.Errorf("%d answers are kept after an hour, want the two without an answer", len(a.by))
	}
}

// TestSpentTokenStays: a form that was sent is not served again while its session lives.
func TestSpentTokenStays(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		served := 0
		rt := route{Pattern: "POST /thing", Serve: func(v *visit) error {
			served++
			return v.done("/keys", "Done.")
		}}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		b := w.login()
		token := b.token()
		b.post("/thing", "_form", token).to("/keys")
		for range 22 { // more than 10 hours, and never half an hour without a request
			w.later(29 * time.Minute)
			b.get("/keys").want(200)
		}
		w.console.answers = answers{}
		b.post("/thing", "_form", b.token()).to("/keys") // forgets what is over
		b.post("/thing", "_form", token).want(409, "Nothing was done a second time")
		if served != 2 {
			t.Errorf("served %d times, want 2", served)
		}
	})
}

// TestKeptFormIsSentOnce: a form that waited for a proof or a sign-in is served once, however
// often it is brought back, and whichever way.
func TestKeptFormIsSentOnce(t *testing.T) {
	run(t, func(t *testing.T, w *world) {
		served := 0
		rt := route{Pattern: "POST /things", Fresh: true, Serve: func(v *visit) error {
			served++
			return v.done("/keys", "Done.")
		}}
		w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
		w.console.byPattern[rt.Pattern] = rt
		goOn := route{Pattern: "POST /go-on", Raw: true, Serve: func(v *visit) error {
			_ = v.r.ParseForm()
			return v.goOn("/keys", v.r.PostForm.Get("kept"))
		}}
		w.console.mux.Handle(goOn.Pattern, w.console.gate(goOn))
		b := w.login()
		token := b.token()
		w.later(11 * time.Minute)
		kept := between(t, b.post("/things", "note", "x", "_form", token).want(403).body, `name="kept" value="`, `"`)
		twin := between(t, b.post("/things", "note", "x", "_form", token).want(403).body, `name="kept" value="`, `"`)
		fresh := w.login()
		fresh.post("/go-on", "kept", kept).to("/keys")
		fresh.post("/go-on", "kept", kept).to("/keys") // the same answer
		fresh.post("/go-on", "kept", twin).to("/keys")
		w.login().post("/go-on", "kept", kept).want(409, "Nothing was done a second time")
		w.console.answers = answers{}
		fresh.post("/go-on", "kept", kept).want(409, "Nothing was done a second time")
		if served != 1 {
			t.Errorf("served %d times, want 1", served)
		}
		// The same for one that came after its session had ended.
		served = 0
		w.later(time.Hour)
		kept = between(t, b.post("/things", "note", "late", "_form", token).want(401).body, `name="kept" value="`, `"`)
		for i := range 2 {
			in := w.login()
			form := between(t, in.post("/go-on", "kept", kept).want(200, "late").body, `action="/things"><input type="hidden" name="_form" value="`, `"`)
			p := in.post("/things", "note", "late", "_form", form)
			if i == 0 {
				p.to("/keys")
			} else {
				p.want(409, "Nothing was done a second time")
			}
		}
		if served != 1 {
			t.Errorf("served %d times after the end of a session, want 1", served)
		}
	})
}

// TestAnswerThatIsTooBig: it is sent whole, and not kept.
func TestAnswerThatIsTooBig(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/postern.db")
	rt := route{Pattern: "POST /big", Serve: func(v *visit) error {
		_, err := v.w.Write([]byte(strings.Repeat(postern.RandomText(64), answerBytes/16)))
		return err
	}}
	w.console.mux.Handle(rt.Pattern, w.console.gate(rt))
	b := w.login()
	token := b.token()
	if p := b.post("/big", "_form", token); len(p.body) != 4*answerBytes {
		t.Errorf("%d bytes came, want %d", len(p.body), 4*answerBytes)
	}
	b.post("/big", "_form", token).want(409, "Nothing was done a second time")
	w.console.answers.mu.Lock()
	defer w.console.answers.mu.Unlock()
	if w.console.answers.bytes > 4096 {
		t.Errorf("%d bytes are kept of it", w.console.answers.bytes)
	}
}

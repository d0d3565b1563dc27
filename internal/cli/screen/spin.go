package screen

import (
	"fmt"
	"sync"
	"time"
)

const (
	spinAfter = 300 * time.Millisecond // what is done sooner needs no sign of life
	spinEvery = 100 * time.Millisecond
)

// Spinner shows on Err that something goes on.
type Spinner struct {
	mu   sync.Mutex
	text string
	stop chan struct{}
	done chan struct{}
}

// Spin starts a Spinner if somebody looks. Stop must be called before anything else is written.
func (s *Screen) Spin(text string) *Spinner {
	sp := &Spinner{text: text}
	if !s.ErrTerminal {
		return sp
	}
	sp.stop, sp.done = make(chan struct{}), make(chan struct{})
	go sp.run(s)
	return sp
}

// Say changes what is said to go on.
func (sp *Spinner) Say(text string) {
	sp.mu.Lock()
	sp.text = text
	sp.mu.Unlock()
}

// Stop takes the sign away.
func (sp *Spinner) Stop() {
	if sp.stop != nil {
		close(sp.stop)
		<-sp.done
		sp.stop = nil
	}
}

func (sp *Spinner) run(s *Screen) {
	defer close(sp.done)
	frames := []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	if s.ASCII {
		frames = []string{"-", "\\", "|", "/"}
	}
	select {
	case <-sp.stop:
		return
	case <-time.After(spinAfter):
	}
	tick := time.NewTicker(spinEvery)
	defer tick.Stop()
	for i := 0; ; i++ {
		sp.mu.Lock()
		text := sp.text
		sp.mu.Unlock()
		fmt.Fprintf(s.Err, "\r\x1b[K%s %s", frames[i%len(frames)], Cut(Clean(text), min(s.Width, defaultWidth)-3))
		select {
		case <-sp.stop:
			fmt.Fprint(s.Err, "\r\x1b[K")
			return
		case <-tick.C:
		}
	}
}

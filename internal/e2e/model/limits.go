package model

import "time"

// limited tells which limit a call with a secret that works would break, if any:
// the key's own, or that of its account's day.
func (w *World) limited(s *Secret) string {
	if k := s.Key; k != nil && k.Rate.Calls > 0 && w.debt(k)+k.cost() > k.Rate.Per+w.oneMore(k) {
		return RateLimited
	}
	a, most := s.account(), s.account().Daily
	if w.Bug == BugDayHasOneMore {
		most++
	}
	if a.Daily > 0 && a.day == w.dayOf(a) && a.used >= most {
		return DailyLimit
	}
	return ""
}

// Count counts a call against the limits. Each call counts whose secret works and
// that comes from where it may, whatever it is for, if the limits let it through.
func (w *World) Count(c Call) {
	if c.Secret == nil {
		return
	}
	if _, reasons := w.recognize(c.Secret); len(reasons) > 0 || !w.comesFrom(c) {
		return
	}
	limit := w.limited(c.Secret)
	if k := c.Secret.Key; k != nil && k.Rate.Calls > 0 && limit != RateLimited {
		k.spent, k.spentAt = w.debt(k)+k.cost(), w.Now
	}
	if limit != "" {
		return
	}
	a := c.Secret.account()
	if day := w.dayOf(a); a.day != day {
		a.day, a.used = day, 0
	}
	a.used++
}

// ForgetBursts is what a new verifier does: every key's burst is whole.
func (w *World) ForgetBursts() {
	for _, a := range w.Accounts {
		for _, k := range a.Keys {
			k.spent = 0
		}
	}
}

// A burst limit is a bucket that holds so many calls and fills evenly in so long.
// What is missing from a full one is kept as the time that filling it takes.
func (w *World) debt(k *Key) time.Duration {
	return min(max(k.spent-w.Now.Sub(k.spentAt), 0), k.Rate.Per)
}

// cost is what one call takes out of the bucket.
func (k *Key) cost() time.Duration { return k.Rate.Per / time.Duration(k.Rate.Calls) }

func (w *World) oneMore(k *Key) time.Duration {
	if w.Bug == BugBurstHasOneMore {
		return k.cost()
	}
	return 0
}

// dayOf is today's date where an account is.
func (w *World) dayOf(a *Account) string {
	zone := a.Zone
	if w.Bug == BugDayIsUTC {
		zone = time.UTC
	}
	return w.Now.In(zone).Format(time.DateOnly)
}

func (s *Secret) account() *Account {
	if s.Key != nil {
		return s.Key.Account
	}
	return s.Personal.Member.Account
}

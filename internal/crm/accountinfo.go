package crm

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// info asks what is known of the caller's account and fills in what isn't.
func (c *call) info() (AccountInfo, *time.Location, error) {
	var info AccountInfo
	if c.s.cfg.Account != nil {
		var err error
		if info, err = c.s.cfg.Account(c.ctx(), c.who.account); err != nil {
			return info, nil, fmt.Errorf("crm: account info: %w", err)
		}
	}
	info.Type = cmp.Or(info.Type, "STANDARD")
	info.TimeZone = cmp.Or(info.TimeZone, "UTC")
	info.Currency = cmp.Or(info.Currency, "USD")
	info.DataLocation = cmp.Or(info.DataLocation, "local")
	info.DailyLimit = cmp.Or(info.DailyLimit, 250_000)
	if info.UIDomain == "" {
		if u, err := url.Parse(c.s.uiBase); err == nil {
			info.UIDomain = u.Host
		}
	}
	if info.MoreCurrencies == nil {
		info.MoreCurrencies = []string{}
	}
	if info.UsageCollectedAt.IsZero() {
		info.UsageCollectedAt = c.s.now()
	}
	zone, err := time.LoadLocation(info.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return info, zone, nil
}

// accountDetails is what client tools call first, to see that a key works.
func accountDetails(c *call) (int, any, error) {
	info, zone, err := c.info()
	if err != nil {
		return 0, nil, err
	}
	at := c.s.now().In(zone)
	_, offset := at.Zone()
	return http.StatusOK, struct {
		PortalID             int64    `json:"portalId"`
		AccountType          string   `json:"accountType"`
		TimeZone             string   `json:"timeZone"`
		CompanyCurrency      string   `json:"companyCurrency"`
		AdditionalCurrencies []string `json:"additionalCurrencies"`
		UTCOffset            string   `json:"utcOffset"`
		UTCOffsetMillis      int64    `json:"utcOffsetMilliseconds"`
		UIDomain             string   `json:"uiDomain"`
		DataLocation         string   `json:"dataHostingLocation"`
	}{c.who.number, info.Type, info.TimeZone, info.Currency, info.MoreCurrencies, at.Format("-07:00"), int64(offset) * 1000, info.UIDomain, info.DataLocation}, nil
}

// dailyUsage tells how many calls the account's keys have made today.
func dailyUsage(c *call) (int, any, error) {
	info, zone, err := c.info()
	if err != nil {
		return 0, nil, err
	}
	now := c.s.now().In(zone)
	midnight := time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, zone)
	type usage struct {
		Name        string    `json:"name"`
		Limit       int64     `json:"usageLimit"`
		Current     int64     `json:"currentUsage"`
		CollectedAt timestamp `json:"collectedAt"`
		FetchStatus string    `json:"fetchStatus"`
		ResetsAt    timestamp `json:"resetsAt"`
	}
	return http.StatusOK, all([]usage{{"private-apps-api-calls-daily", info.DailyLimit, info.DailyUsage,
		timestamp(micros(info.UsageCollectedAt)), "SUCCESS", timestamp(micros(midnight))}}), nil
}

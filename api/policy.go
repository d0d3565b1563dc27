package api

import "time"

// Policy is what an account asks of its service keys, and what it watches for.
type Policy struct {
	RequireExpiry bool       `json:"requireExpiry" doc:"Every key has an end."`
	LongestLife   int        `json:"longestLife" doc:"How many days ahead an end can be at most; 0 is no limit."`
	WriteNetworks bool       `json:"writeNetworks" doc:"Keys that can change something need an IP list."`
	RemindExpiry  []int      `json:"remindExpiry" nullable:"false" doc:"Days before a key's end at which its people are told, longest first."`
	RemindAge     int        `json:"remindAge" doc:"How many days old a secret may be before its people are told; 0 is never."`
	IdleAfter     int        `json:"idleAfter" doc:"After how many days without a call a key counts as unused; 0 is never."`
	Tripwires     Tripwires  `json:"tripwires"`
	Leaks         LeakPolicy `json:"leaks"`
	ChangedAt     time.Time  `json:"changedAt,omitzero"`
	ChangedBy     string     `json:"changedBy,omitempty" doc:"A member."`
	Altered       bool       `json:"altered,omitempty" doc:"The record was changed by other means than Postern. No key can be made or widened until the policy is saved anew."`
	Revision      int64      `json:"revision" doc:"Counts its changes. Its ETag is this number in quotes."`
}

// Tripwires says of each tripwire whether it is off, notifies, or pauses the key too.
type Tripwires struct {
	RetiredSecret  string `json:"retiredSecret" enum:"off,notify,pause" doc:"A whole true secret is presented that has ended."`
	FarNetworks    string `json:"farNetworks" enum:"off,notify,pause" doc:"One secret is used from two far networks at once, one of them new."`
	Canary         string `json:"canary" enum:"off,notify,pause" doc:"A key that nobody should use is used."`
	Refusals       string `json:"refusals" enum:"off,notify,pause" doc:"A burst of calls is refused."`
	FarMinutes     int    `json:"farMinutes" doc:"How close together calls from two networks are at once: 1 to 60 minutes."`
	FarFleet       int    `json:"farFleet" doc:"From how many networks on a key counts as a fleet, of which nothing is told: 2 to 100."`
	FarLearnHours  int    `json:"farLearnHours" doc:"For how long after its first call a key's networks are only learned: 0 to 720 hours."`
	RefusedCalls   int    `json:"refusedCalls" doc:"How many refused calls are a burst: 1 to 250."`
	RefusedMinutes int    `json:"refusedMinutes" doc:"In how many minutes: 1 to 60."`
	RefusedPercent int    `json:"refusedPercent" doc:"And how many in 100 of the calls in that time: 1 to 100."`
}

// EditPolicy changes a policy. What is left out stays as it is.
type EditPolicy struct {
	RequireExpiry *bool           `json:"requireExpiry,omitempty"`
	LongestLife   *int            `json:"longestLife,omitempty" minimum:"0" maximum:"3650"`
	WriteNetworks *bool           `json:"writeNetworks,omitempty"`
	RemindExpiry  *[]int          `json:"remindExpiry,omitempty" maxItems:"10" nullable:"false"`
	RemindAge     *int            `json:"remindAge,omitempty" minimum:"0" maximum:"3650"`
	IdleAfter     *int            `json:"idleAfter,omitempty" minimum:"0" maximum:"3650"`
	Tripwires     *EditTripwires  `json:"tripwires,omitempty"`
	Leaks         *EditLeakPolicy `json:"leaks,omitempty"`
}

// EditTripwires changes tripwires. What is left out stays as it is.
type EditTripwires struct {
	RetiredSecret  *string `json:"retiredSecret,omitempty" enum:"off,notify,pause"`
	FarNetworks    *string `json:"farNetworks,omitempty" enum:"off,notify,pause"`
	Canary         *string `json:"canary,omitempty" enum:"off,notify,pause"`
	Refusals       *string `json:"refusals,omitempty" enum:"off,notify,pause"`
	FarMinutes     *int    `json:"farMinutes,omitempty" minimum:"1" maximum:"60"`
	FarFleet       *int    `json:"farFleet,omitempty" minimum:"2" maximum:"100"`
	FarLearnHours  *int    `json:"farLearnHours,omitempty" minimum:"0" maximum:"720"`
	RefusedCalls   *int    `json:"refusedCalls,omitempty" minimum:"1" maximum:"250"`
	RefusedMinutes *int    `json:"refusedMinutes,omitempty" minimum:"1" maximum:"60"`
	RefusedPercent *int    `json:"refusedPercent,omitempty" minimum:"1" maximum:"100"`
}

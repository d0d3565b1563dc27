package signin

import (
	"context"
	"time"
)

// AnswerAfter sets when refusals are answered: tests make hundreds.
func (s *Service) AnswerAfter(d time.Duration) { s.answerAfter = d }

// Hashes counts the passwords that were held against a hash.
func (s *Service) Hashes() int64 { return s.hasher.done.Load() }

// Wait, CommonPassword and MatchTOTP are rules that are tested by themselves.
var (
	Wait           = wait
	CommonPassword = isCommon
)

// FindLink looks for a link as a transaction that uses it up does.
func (s *Service) FindLink(ctx context.Context, q linkReader, link string) error {
	_, _, _, err := s.findLink(ctx, q, link)
	return err
}

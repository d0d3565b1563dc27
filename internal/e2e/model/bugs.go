package model

// Bug is a rule that a model has wrong on purpose. A harness that doesn't find
// each of them would not find it in the real thing either.
type Bug string

// The planted bugs.
const (
	BugNone            Bug = ""
	BugStarIsAll       Bug = "the star covers sensitive scopes"
	BugPrefixIsLoose   Bug = "a prefix covers what only starts like it"
	BugGraceLingers    Bug = "the previous secret works at its deadline still"
	BugExpiryLingers   Bug = "a key works at its expiry still"
	BugVoidedLives     Bug = "a voided successor stays the current secret"
	BugLengthenFreely  Bug = "lengthening a life needs no scopes"
	BugWidenFreely     Bug = "widening the networks needs no scopes"
	BugResumeFreely    Bug = "resuming needs no scopes"
	BugRotateFreely    Bug = "rotating needs no scopes"
	BugCancelFreely    Bug = "cancelling a rotation needs no scopes"
	BugNamesStayTaken  Bug = "the name of an ended key stays taken"
	BugPersonalFrozen  Bug = "a personal key keeps the rights that its member had"
	BugLastAdminGoes   Bug = "the last super admin can go"
	BugInvitedCounts   Bug = "a super admin who can't come in counts as another one"
	BugFirstWayOnly    Bug = "only the first alternative of an operation counts"
	BugAnyScopeOpens   Bug = "one scope of several opens an operation"
	BugNetworksIgnored Bug = "networks don't matter"
	BugForeignFound    Bug = "keys of another account are found"
	BugNeverFlagged    Bug = "keys are not flagged when their maker's rights shrink"
	BugRetryMintsAgain Bug = "a repeated create makes a second key"

	BugGraceForever       Bug = "the previous secret works for ever"
	BugRevokedLives       Bug = "a revoked key works"
	BugPausedWorks        Bug = "a paused key works"
	BugContainedByThePast Bug = "containment asks what a member held when they came"
	BugImplicitForAll     Bug = "an implicit scope can be granted"
	BugDayHasOneMore      Bug = "the daily limit lets one more call through"
	BugDayIsUTC           Bug = "the daily limit starts anew at midnight UTC"
	BugBurstHasOneMore    Bug = "the burst limit lets one more call through"
	BugNetworkOneBitWider Bug = "a network reaches one bit further"
	BugEditKeepsScopes    Bug = "an edit keeps the scopes that it takes away"
	BugKeyIsMember        Bug = "a narrowed personal key acts with all that its member may"
	BugSuspendedActs      Bug = "keys of a suspended account work"
	BugGraceOutlivesKey   Bug = "a grace period outlives its key"
)

// Bugs lists every planted bug.
func Bugs() []Bug {
	return []Bug{
		BugStarIsAll, BugPrefixIsLoose, BugGraceLingers, BugExpiryLingers, BugVoidedLives, BugLengthenFreely,
		BugWidenFreely, BugResumeFreely, BugRotateFreely, BugCancelFreely, BugNamesStayTaken, BugPersonalFrozen, BugLastAdminGoes,
		BugInvitedCounts, BugFirstWayOnly, BugAnyScopeOpens, BugNetworksIgnored, BugForeignFound, BugNeverFlagged, BugRetryMintsAgain,
		BugGraceForever, BugRevokedLives, BugPausedWorks, BugContainedByThePast, BugImplicitForAll, BugDayHasOneMore,
		BugDayIsUTC, BugBurstHasOneMore, BugNetworkOneBitWider, BugEditKeepsScopes, BugKeyIsMember, BugSuspendedActs,
		BugGraceOutlivesKey,
	}
}

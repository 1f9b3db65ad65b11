package explain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// reader reads what a question is about, each thing once. It belongs to one question.
type reader struct {
	config    Config
	own       string // account of the credentials at hand
	access    map[string]reach
	roles     map[string]*role
	orgs      map[string]*membership
	documents map[string]*document // managed and control policies, which several may share
}

// reach is an account's Access, or why there is none.
type reach struct {
	Access
	err error
}

func newReader(c Config) *reader {
	return &reader{config: c, access: map[string]reach{}, roles: map[string]*role{}, orgs: map[string]*membership{}, documents: map[string]*document{}}
}

// account returns what to read an account with.
func (r *reader) account(ctx context.Context, id string) (Access, error) {
	if found, ok := r.access[id]; ok {
		return found.Access, found.err
	}
	var found reach
	if r.config.Account != nil {
		found.Access, found.err = r.config.Account(ctx, id)
	} else if r.own == "" {
		r.own, found.err = accountOf(ctx, r.config.AWS)
	}
	if r.config.Account == nil && found.err == nil {
		found.Access = Access{AWS: r.config.AWS}
		if r.own != id {
			found.err = fmt.Errorf("the credentials at hand are of account %s", r.own)
		}
	}
	r.access[id] = found
	return found.Access, found.err
}

// accounts are those along the path, the given one first.
func (r *reader) accounts(first string) []string {
	all := []string{first}
	for _, arn := range slices.Sorted(maps.Keys(r.roles)) {
		if id := r.roles[arn].arn.AccountID; !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// cli returns how commands for an account are written.
func (r *reader) cli(ctx context.Context, account string) cli {
	access, err := r.account(ctx, account)
	if err != nil {
		return cli{account, r.config.Kubernetes} // the reader is to give it
	}
	return cli{access.Profile, r.config.Kubernetes}
}

// accountOf asks whose credentials c has. It needs no permission
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html).
func accountOf(ctx context.Context, c aws.Config) (string, error) {
	out, err := sts.NewFromConfig(c).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", answered(err)
	}
	return aws.ToString(out.Account), nil
}

// Profiles finds accounts in the AWS CLI's shared configuration, for
// Config.Account: under the profile that named gives for the account, or else
// with the credentials of own if they are of that account, or else under a
// profile that has the account's id for a name.
func Profiles(own aws.Config, named map[string]string) func(ctx context.Context, id string) (Access, error) {
	ownAccount := sync.OnceValues(func() (string, error) { return accountOf(context.Background(), own) })
	return func(ctx context.Context, id string) (Access, error) {
		profile, isNamed := named[id]
		if !isNamed {
			account, err := ownAccount()
			if err == nil && account == id {
				return Access{AWS: own}, nil
			}
			profile = id
		}
		c, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(profile), config.WithRegion(own.Region))
		if _, none := errors.AsType[config.SharedConfigProfileNotExistError](err); none && !isNamed {
			return Access{}, fmt.Errorf("no credentials for it: give --profile %s=PROFILE", id)
		}
		if err != nil {
			return Access{}, fmt.Errorf("profile %s: %w", profile, err)
		}
		account, err := accountOf(ctx, c)
		if err != nil {
			return Access{}, fmt.Errorf("profile %s: %w", profile, err)
		}
		if account != id {
			return Access{}, fmt.Errorf("profile %s is of account %s", profile, account)
		}
		return Access{AWS: c, Profile: profile}, nil
	}
}

// answered shortens an SDK's error to what AWS answered.
func answered(err error) error {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return errors.New(e.ErrorCode() + ": " + e.ErrorMessage())
	}
	return err
}

// isCode tells whether AWS answered with one of the exceptions.
func isCode(err error, codes ...string) bool {
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	for _, code := range codes {
		if e.ErrorCode() == code {
			return true
		}
	}
	return false
}

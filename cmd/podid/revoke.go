package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/eks"
	"github.com/podid/podid/internal/explain"
	"github.com/podid/podid/internal/identity"
	"github.com/podid/podid/internal/kubeconfig"
	"github.com/podid/podid/internal/rolepolicy"
)

// revocation is what the flags of podid revoke say.
type revocation struct {
	associations
	subjectOnly bool
	profiles    map[string]string
}

// revocationView is for -o json.
type revocationView struct {
	AssociationID string            `json:"associationId"`
	RevokedAt     time.Time         `json:"revokedAt"`
	Policy        rolepolicy.Policy `json:"policy"`
}

func newRevoke() *cobra.Command {
	r := new(revocation)
	cmd := &cobra.Command{
		Use:   "revoke ID | -n NAMESPACE -s SERVICEACCOUNT",
		Short: "Drop the credentials of a service account everywhere, and print how to end its sessions",
		Long: `Revoke an association: podid's servers and agents drop what they hold for its pods at once, and
make new credentials. The association itself stays.

What pods were given before stays valid at AWS until it expires. podid prints the policy that
ends it, as AWS recommends
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html), and the
command that puts it on the role. It ends every older session of that role, whoever has it:
other associations with the role, people, pipelines. Those that podid made for other
associations are refused until they are renewed; revoke these too. Where session tags are on,
--subject-only spares all others. Delete the policy once those sessions would have expired.`,
		Example: `  podid revoke -n default -s demo-app-sa
  podid revoke -n default -s demo-app-sa --subject-only -o commands | sh`,
		Args: cobra.MaximumNArgs(1),
		RunE: r.at(func(cmd *cobra.Command, where place, args []string) error { return r.run(cmd, where, args) }),
	}
	f := cmd.Flags()
	f.StringVar(&r.cluster, "cluster", os.Getenv("PODID_CLUSTER"), "cluster ($PODID_CLUSTER; in a Kubernetes cluster: as podid's server says)")
	r.target.add(cmd)
	r.subjectFlags(cmd, "default")
	f.BoolVar(&r.subjectOnly, "subject-only", false, "print a policy that ends the sessions of this service account alone; needs session tags")
	f.StringToStringVar(&r.profiles, "profile", nil, "AWS profile of an account: ACCOUNT=PROFILE, may be repeated (default: named like the account)")
	outputFlag(cmd, &r.output, "json", "commands")
	return cmd
}

// revoking returns what revokes an association by its id.
func revoking(ctx context.Context, client associationAPI) (func(ctx context.Context, cluster, id string) (time.Time, error), error) {
	switch c := client.(type) {
	case *kubeconfig.Associations:
		return c.Revoke, nil
	case *awseks.Client:
		settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(c.Options().Region))
		if err != nil {
			return nil, err
		}
		if settings.BaseEndpoint = c.Options().BaseEndpoint; settings.BaseEndpoint == nil {
			return nil, fmt.Errorf("AWS_ENDPOINT_URL names no podid: %w", eks.ErrNoRevocation)
		}
		return func(ctx context.Context, cluster, id string) (time.Time, error) {
			at, err := eks.Revoke(ctx, settings, cluster, id)
			if errors.Is(err, eks.ErrNoRevocation) {
				err = fmt.Errorf("%s: %w", aws.ToString(settings.BaseEndpoint), err)
			}
			return at, err
		}, nil
	}
	return nil, eks.ErrNoRevocation
}

func (r *revocation) run(cmd *cobra.Command, where place, args []string) error {
	ctx := cmd.Context()
	client, _, err := r.open(cmd, where)
	if err != nil {
		return err
	}
	revoke, err := revoking(ctx, client)
	if err != nil {
		return err
	}
	id, err := r.find(ctx, client, args)
	if err != nil {
		return err
	}
	out, err := client.DescribePodIdentityAssociation(ctx, &awseks.DescribePodIdentityAssociationInput{ClusterName: &r.cluster, AssociationId: &id})
	if err != nil {
		return err
	}
	a, err := explain.FromEKS(out.Association)
	if err != nil {
		return err
	}
	// What cannot be printed is known before anything is revoked.
	if _, err := rolepolicy.Revoke(a, time.Time{}, r.subjectOnly); err != nil {
		return err
	}
	at, err := revoke(ctx, r.cluster, id)
	if err != nil {
		return err
	}
	policy, err := rolepolicy.Revoke(a, at, r.subjectOnly)
	if err != nil {
		return err
	}
	return r.printRevocation(cmd.OutOrStdout(), a, revocationView{id, at.UTC(), policy})
}

func (r *revocation) printRevocation(w io.Writer, a identity.Association, v revocationView) error {
	commands := func() error {
		return rolepolicy.Commands(w, []rolepolicy.Policy{v.Policy}, rolepolicy.Target{Profiles: r.profiles})
	}
	if r.output == "commands" {
		return commands()
	}
	return write(w, r.output, v, func() error {
		others := "It ends every session of the role from before, whoever has it: other associations with this role are\n" +
			"refused until their credentials are renewed, so revoke them too."
		if !a.DisableSessionTags {
			others += " --subject-only spares them."
		}
		if r.subjectOnly {
			others = "It ends the sessions of this service account alone."
		}
		fmt.Fprintf(w, `revoked: credentials of %s/%s made before %s are dropped by podid

What its pods were given before stays valid at AWS until it expires. This ends it too, in
account %s, on the %s:

%s

%s
Delete the policy once those sessions would have expired: after an hour with a target role, else after six.

`, a.Namespace, a.ServiceAccount, v.RevokedAt.Format(time.RFC3339), v.Policy.Account, v.Policy.Role, v.Policy.Document, others)
		return commands()
	})
}

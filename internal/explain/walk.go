package explain

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"

	"github.com/podid/podid/internal/identity"
)

// walk is one question on its way to a report.
type walk struct {
	config   Config
	question Question
	reader   *reader
	report   *Report
}

// run walks all steps. Where there is no association, there is no path.
func (w *walk) run(ctx context.Context) {
	a, found := w.association(ctx)
	if !found {
		return
	}
	w.webhook(a)
	stages := w.stages(ctx, a)
	for _, s := range stages {
		w.report.Steps = append(w.report.Steps, s.judge())
	}
	w.unseen(stages)
	w.warn(a, stages)
	w.mend(ctx, a, stages)
}

// association finds the association to explain, and adds its step.
func (w *walk) association(ctx context.Context) (identity.Association, bool) {
	q := &w.question
	step := Step{Name: StepAssociation, Title: fmt.Sprintf("Association of service account %s/%s in cluster %s", q.Namespace, q.ServiceAccount, q.Cluster), Verdict: Allowed}
	var a identity.Association
	if q.Association != nil {
		a = *q.Association
		step.Findings = []Finding{{Verdict: Allowed, Text: "as given; it need not exist yet"}}
	} else {
		found, finding, fixable := w.find(ctx)
		step.Verdict = finding.Verdict
		if finding.Verdict != Allowed {
			step.Findings = []Finding{finding}
			if fixable {
				step.Fixes = []Fix{w.newAssociation()}
			}
			w.report.Steps = append(w.report.Steps, step)
			return a, false
		}
		a = found
	}
	step.Facts = associationFacts(a)
	w.report.Steps = append(w.report.Steps, step)
	return a, true
}

func associationFacts(a identity.Association) []Fact {
	facts := []Fact{{"Pod Identity role", a.RoleARN}}
	if a.ID != "" {
		facts = append([]Fact{{"id", a.ID}}, facts...)
	}
	if a.TargetRoleARN != "" {
		facts = append(facts, Fact{"target role", a.TargetRoleARN}, Fact{"external ID", a.ExternalID()})
	}
	tags := "on"
	if a.DisableSessionTags {
		tags = "off"
	}
	facts = append(facts, Fact{"session tags", tags})
	if a.Policy != "" {
		facts = append(facts, Fact{"session policy", "yes"})
	}
	return facts
}

// find asks the EKS API. Its bool tells whether making an association is what
// mends it.
func (w *walk) find(ctx context.Context) (identity.Association, Finding, bool) {
	q := &w.question
	client := w.config.Associations
	list, err := client.ListPodIdentityAssociations(ctx, &eks.ListPodIdentityAssociationsInput{
		ClusterName: &q.Cluster, Namespace: &q.Namespace, ServiceAccount: &q.ServiceAccount,
	})
	if isCode(err, "ResourceNotFoundException") {
		text := fmt.Sprintf("there is no cluster %s in region %s of this account%s", q.Cluster, w.config.AWS.Region, w.clusters(ctx, client))
		return identity.Association{}, Finding{Verdict: Refused, Text: text}, false
	}
	if err == nil && len(list.Associations) == 0 {
		text := "there is none: pods of this service account get no credentials" + w.near(ctx, client)
		return identity.Association{}, Finding{Verdict: Refused, Text: text}, true
	}
	var got *eks.DescribePodIdentityAssociationOutput
	if err == nil {
		got, err = client.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{
			ClusterName: &q.Cluster, AssociationId: list.Associations[0].AssociationId,
		})
	}
	if err != nil {
		w.report.Unseen = append(w.report.Unseen, Unseen{
			What: "associations of cluster " + q.Cluster, Reason: answered(err).Error(), Without: "which roles are assumed, and so everything else",
		})
		return identity.Association{}, Finding{Verdict: Unknown, Text: "could not be read: " + answered(err).Error()}, false
	}
	a, err := FromEKS(got.Association)
	if err != nil {
		return a, Finding{Verdict: Unknown, Text: err.Error()}, false
	}
	return a, Finding{Verdict: Allowed}, false
}

// clusters names the clusters that there are, where one was mistaken.
func (w *walk) clusters(ctx context.Context, client Associations) string {
	list, err := client.ListClusters(ctx, &eks.ListClustersInput{MaxResults: aws.Int32(maxListed + 1)})
	if err != nil || len(list.Clusters) == 0 {
		return "" // it would only have been a hint
	}
	more := ""
	if len(list.Clusters) > maxListed {
		more = " and more"
	}
	return "; there are " + strings.Join(list.Clusters[:min(len(list.Clusters), maxListed)], ", ") + more
}

// FromEKS returns an association as the EKS API has it; the cluster's region
// and account are those of its ARN.
func FromEKS(p *types.PodIdentityAssociation) (identity.Association, error) {
	arn, err := identity.ParseARN(aws.ToString(p.AssociationArn))
	if err != nil {
		return identity.Association{}, fmt.Errorf("the association's ARN: %w", err)
	}
	return identity.Association{
		ID: aws.ToString(p.AssociationId), Namespace: aws.ToString(p.Namespace), ServiceAccount: aws.ToString(p.ServiceAccount),
		Cluster: identity.Cluster{Name: aws.ToString(p.ClusterName), Region: arn.Region, AccountID: arn.AccountID},
		RoleARN: aws.ToString(p.RoleArn), TargetRoleARN: aws.ToString(p.TargetRoleArn),
		DisableSessionTags: aws.ToBool(p.DisableSessionTags), Policy: aws.ToString(p.Policy), Tags: p.Tags,
		CreatedAt: aws.ToTime(p.CreatedAt),
	}, nil
}

// near names an association that may have been meant: one of the same service
// account in another namespace, or of the same namespace.
func (w *walk) near(ctx context.Context, client Associations) string {
	pages := eks.NewListPodIdentityAssociationsPaginator(client, &eks.ListPodIdentityAssociationsInput{ClusterName: &w.question.Cluster})
	var names []string
	for pages.HasMorePages() && len(names) < 3 {
		page, err := pages.NextPage(ctx)
		if err != nil {
			break // it would only have been a hint
		}
		for _, p := range page.Associations {
			namespace, name := aws.ToString(p.Namespace), aws.ToString(p.ServiceAccount)
			if len(names) < 3 && (namespace == w.question.Namespace || name == w.question.ServiceAccount) {
				names = append(names, namespace+"/"+name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; there are associations of " + strings.Join(names, ", ")
}

// newAssociation is the fix where there is no association. Which roles are
// meant only the reader can know.
func (w *walk) newAssociation() Fix {
	q := &w.question
	fix := Fix{
		Text: "make an association, with the roles that you mean in the place of ROLE_ARN and TARGET_ROLE_ARN",
		Commands: []string{cli{}.aws("eks", "create-pod-identity-association", "--cluster-name", q.Cluster, "--namespace", q.Namespace,
			"--service-account", q.ServiceAccount, "--role-arn", "ROLE_ARN", "--target-role-arn", "TARGET_ROLE_ARN")},
	}
	if w.config.Kubernetes {
		fix.Commands = []string{kubectl("association", "create", q.Namespace, q.ServiceAccount, "--role-arn", "ROLE_ARN", "--target-role-arn", "TARGET_ROLE_ARN")}
	}
	return fix
}

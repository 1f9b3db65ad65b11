package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/spf13/cobra"

	"github.com/podid/podid/internal/console"
	"github.com/podid/podid/internal/devenv"
	"github.com/podid/podid/internal/explain"
)

// foretell says what deleting an association would change, in the words of the console.
func (a *associations) foretell(cmd *cobra.Command, where place, client associationAPI, id string) error {
	d, err := a.deletion(cmd, where, client, id)
	if err != nil {
		return err
	}
	return write(cmd.OutOrStdout(), a.output, d, func() error {
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "nothing is deleted; deleting %s would mean:\n\n", id)
		for _, sentence := range d.Consequences {
			fmt.Fprintln(w, "  -", sentence)
		}
		if d.CredentialsUntil != nil {
			fmt.Fprintf(w, "\nthe last credentials given for it end at %s\n", d.CredentialsUntil.UTC().Format(time.DateTime+" MST"))
		}
		if len(d.Pods.Items) == 0 {
			return nil
		}
		fmt.Fprint(w, "\npods\n")
		for _, pod := range d.Pods.Items {
			fmt.Fprintf(w, "  %s/%s\n", pod.Namespace, pod.Name)
		}
		if more := d.Pods.Total - len(d.Pods.Items); more > 0 {
			fmt.Fprintf(w, "  and %d more\n", more)
		}
		return nil
	})
}

// deletion is what podid dev knows, or else what the association and, in a
// Kubernetes cluster, its pods tell.
func (a *associations) deletion(cmd *cobra.Command, where place, client associationAPI, id string) (d console.Deletion, err error) {
	ctx := cmd.Context()
	if where == atDev {
		dev, err := devenv.ClientFromEnv(os.Getenv)
		if err != nil {
			return d, err
		}
		err = dev.Console(ctx, "/associations/"+id+"/deletion", &d)
		return d, err
	}
	out, err := client.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{ClusterName: &a.cluster, AssociationId: &id})
	if err != nil {
		return d, err
	}
	association, err := explain.FromEKS(out.Association)
	if err != nil {
		return d, err
	}
	pods := console.Pods{Reason: "the EKS API does not tell. kubectl get pods --field-selector spec.serviceAccountName=" + association.ServiceAccount + " does."}
	if where == atCluster {
		pods = a.podsOf(cmd, association.Namespace, association.ServiceAccount)
	}
	return console.DeletionOf(console.Record{Association: association}, pods), nil
}

// podsOf are the pods of a service account, as the user of the kubeconfig sees them.
func (a *associations) podsOf(cmd *cobra.Command, namespace, serviceAccount string) console.Pods {
	k, err := a.target.cluster(cmd)
	if err != nil {
		return console.Pods{Reason: err.Error()}
	}
	names, err := k.Pods(cmd.Context(), namespace, serviceAccount)
	if err != nil {
		return console.Pods{Reason: strings.TrimSuffix(err.Error(), ".") + "."}
	}
	pods := console.Pods{Known: true, Total: len(names)}
	for _, name := range names {
		pods.Items = append(pods.Items, console.Pod{Namespace: namespace, Name: name})
	}
	return pods
}

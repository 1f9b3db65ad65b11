package admission_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/podid/podid/internal/admission"
)

// associations is how many AWS lets a cluster have.
const associations = 5000

// realistic is a pod as a chart of some size makes it: three containers, 50
// variables, ten volumes; 9 KiB.
func realistic(serviceAccount string) *corev1.Pod {
	pod := podOf(serviceAccount)
	pod.Labels = map[string]string{"app": "shop", "pod-template-hash": "5d9c7b8f6d"}
	pod.Spec.Containers = nil
	for i := range 10 {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: fmt.Sprintf("config-%d", i), VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: fmt.Sprintf("shop-config-%d", i)}}}})
	}
	for i := range 3 {
		c := corev1.Container{Name: fmt.Sprintf("app-%d", i), Image: "registry.example.test/shop/app:1.2.3", Args: []string{"--listen=:8080", "--log=json"},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("100m")}}}
		for j := range 17 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SHOP_SETTING_%d", j), Value: "some value of ordinary length"})
		}
		for j := range 5 {
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: fmt.Sprintf("config-%d", i+j), MountPath: fmt.Sprintf("/etc/shop/%d", j), ReadOnly: true})
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

func BenchmarkMutate(b *testing.B) {
	pod := realistic("app-1")
	for b.Loop() {
		if admission.Mutate(pod, nil, admission.Settings{Region: "us-west-2", RegionalSTS: true}, .5).Patch == nil {
			b.Fatal("not changed")
		}
	}
}

func withAssociations(b *testing.B) http.Handler {
	known := map[string]string{}
	for i := range associations {
		known[fmt.Sprintf("ns/app-%d", i)] = "a-1"
	}
	return newWebhook(b, admission.Config{Associations: &world{memory: known}, Settings: admission.Settings{Region: "us-west-2", RegionalSTS: true}}).Handler()
}

// BenchmarkWebhook is all that podid does for one pod.
func BenchmarkWebhook(b *testing.B) {
	body, err := json.Marshal(reviewOf(b, realistic("app-4711")))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	handler := withAssociations(b)
	for b.Loop() {
		if recorder := post(handler, "application/json", bytes.NewReader(body)); recorder.Code != http.StatusOK {
			b.Fatal(recorder.Body)
		}
	}
}

// BenchmarkWebhook50PodsASecond also has what lies between: TLS and HTTP/2 over
// loopback, at 50 pods a second, one after the other.
func BenchmarkWebhook50PodsASecond(b *testing.B) {
	body, err := json.Marshal(reviewOf(b, realistic("app-4711")))
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewUnstartedServer(withAssociations(b))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	var took []time.Duration
	tick := time.NewTicker(time.Second / 50)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		began := time.Now()
		response, err := server.Client().Post(server.URL+admission.MutatePath, "application/json", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms/p50")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "ms/p99")
	b.ReportMetric(0, "ns/op") // mostly waiting
}

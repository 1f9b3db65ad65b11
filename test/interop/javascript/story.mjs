// The AWS SDK for JavaScript against development mode: as the administrator of
// the cluster's account, then inside the pod.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import * as eks from "@aws-sdk/client-eks";
import { IAMClient, GetRoleCommand } from "@aws-sdk/client-iam";
import { S3Client, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";

const roleArn = "arn:aws:iam::111122223333:role/eks-pod-identity-primary-role";
const targetRoleArn = "arn:aws:iam::444455556666:role/eks-pod-identity-aws-resources";
const clusterName = "example-cluster";
const Bucket = "example-data-444455556666";

const refused = (name, promise) => assert.rejects(promise, (e) => (assert.equal(e.name, name), true));

async function administrator() {
  const client = new eks.EKSClient({});
  const subject = { clusterName, namespace: "default", serviceAccount: "demo-app-sa" };
  const { association } = await client.send(new eks.CreatePodIdentityAssociationCommand({ ...subject, roleArn, targetRoleArn }));
  assert.equal(association.externalId, "us-west-2/111122223333/example-cluster/default/demo-app-sa");
  assert.ok(association.createdAt instanceof Date);
  await refused("ResourceInUseException", client.send(new eks.CreatePodIdentityAssociationCommand({ ...subject, roleArn })));
  const id = { clusterName, associationId: association.associationId };
  const seen = await client.send(new eks.DescribePodIdentityAssociationCommand(id));
  assert.deepEqual(seen.association, association);
  for (const serviceAccount of ["a", "b", "c"]) {
    await client.send(new eks.CreatePodIdentityAssociationCommand({ clusterName, namespace: "paging", serviceAccount, roleArn }));
  }
  const names = [];
  for await (const page of eks.paginateListPodIdentityAssociations({ client, pageSize: 2 }, { clusterName, namespace: "paging" })) {
    assert.ok(page.associations.length <= 2);
    names.push(...page.associations.map((a) => a.serviceAccount));
  }
  assert.deepEqual(names.sort(), ["a", "b", "c"]);
  const resourceArn = association.associationArn;
  await client.send(new eks.TagResourceCommand({ resourceArn, tags: { team: "data" } }));
  assert.deepEqual((await client.send(new eks.ListTagsForResourceCommand({ resourceArn }))).tags, { team: "data" });
  await client.send(new eks.UntagResourceCommand({ resourceArn, tagKeys: ["team"] }));
  await refused("ResourceNotFoundException", client.send(new eks.DescribePodIdentityAssociationCommand({ ...id, associationId: "a-00000000000000000" })));
  await refused("InvalidParameterException", client.send(new eks.CreatePodIdentityAssociationCommand({ clusterName, namespace: "default", serviceAccount: "x", roleArn: targetRoleArn })));
  const { Role } = await new IAMClient({}).send(new GetRoleCommand({ RoleName: "eks-pod-identity-primary-role" }));
  assert.equal(Role.Arn, roleArn);
}

async function pod() {
  const { Arn } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
  assert.match(Arn, /^arn:aws:sts::444455556666:assumed-role\/eks-pod-identity-aws-resources\/eks-/);
  const s3 = new S3Client({ forcePathStyle: true });
  const object = await s3.send(new GetObjectCommand({ Bucket, Key: "hello.txt" }));
  assert.match(await object.Body.transformToString(), /^Hello from account/);
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 1);
  await refused("AccessDenied", s3.send(new PutObjectCommand({ Bucket, Key: "x", Body: "x" })));
}

await { administrator, pod }[process.argv[2]]();
const version = createRequire(import.meta.url)("@aws-sdk/client-eks/package.json").version;
console.log(`@aws-sdk ${version}, node ${process.version}, ${process.argv[2]}: done`);

// The console in a cluster, at a real API server, whose RBAC judges
// (test/kubernetes/server). alice edits what is in the namespace shop, bob may view
// the associations there; shop/app has one, and so has bank/vault.

/** signedIn opens a console and signs in, with the token of a user's service account. */
async function signedIn(t, world, user, hash, expect = []) {
  const page = await t.open(world, hash, { expect: ['401', ...expect] }); // signed out, every page asks in vain
  await page.getByLabel('Bearer token').fill(t.asked.tokens[user]);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: user }).first().waitFor();
  return page;
}

/** sent is what becomes of a request that the page itself does not offer, with the token of who is signed in. */
const sent = (page, method, path) =>
  page.evaluate(
    async ([m, p]) => {
      const token = Object.values(sessionStorage)[0];
      const reply = await fetch('/console/api/v1' + p, { method: m, headers: { 'X-Podid-Console': '1', Authorization: `Bearer ${token}` } });
      return { status: reply.status, text: await reply.text() };
    },
    [method, path],
  );

export const scenarios = {
  async 'who administers a namespace of a cluster sees what is in it, and nothing else'(t) {
    const page = await t.open('cluster', '#/associations', { expect: ['401', '403', '404'] });
    await page.getByLabel('Bearer token').fill('no-token-of-this-cluster');
    await page.keyboard.press('Enter');
    await page.getByText('That token is not accepted').waitFor();
    await page.getByLabel('Bearer token').fill(t.asked.tokens.alice);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'app', exact: true }).waitFor();
    await page.getByText('Working').first().waitFor();
    await page.getByText('(1)', { exact: true }).first().waitFor();
    t.same(await page.getByRole('link', { name: /^(Activity|Health)$/ }).count(), 0, 'links to what alice may not see');
    const seen = async (name) => {
      await t.settled(page);
      t.expect(!/vault|bank/.test(await page.locator('body').innerText()), `${name} tells of another namespace`);
      await t.accessible(page, `${name} in a cluster`);
      await t.picture(page, `real-cluster-${name}`);
    };
    await seen('list');
    for (const [name, hash, text] of [
      ['hidden', `#/associations/${t.asked.hidden}`, 'The association could not be had'],
      ['map', '#/map', 'Who can reach what'],
      ['activity', '#/activity', 'list on auditevents.podid.dev'],
      ['health', '#/health', 'get on health.podid.dev'],
    ]) {
      await t.go(page, hash);
      await page.getByText(text).first().waitFor();
      await seen(name);
    }
    t.same((await sent(page, 'DELETE', `/associations/${t.asked.hidden}`)).status, 404, 'a deletion in another namespace, sent all the same');
  },

  async 'an association with roles that nobody gave is refused with what is missing, which once applied lets it be made, and deleted'(t) {
    const { role, target } = t.asked;
    const page = await signedIn(t, 'cluster', 'alice', '#/associations/new', ['403']);
    await page.getByRole('combobox', { name: 'Namespace' }).fill('shop');
    await page.getByRole('combobox', { name: 'Service account' }).click();
    await page.getByRole('option', { name: /by-console/ }).click(); // which alice may list
    await page.getByRole('combobox', { name: 'Pod Identity role' }).fill(role);
    await page.getByRole('combobox', { name: /^Target role/ }).fill(target);
    // Said before it is tried, and both roles at once.
    const refused = page.getByText('It cannot be created like this', { exact: true });
    await refused.waitFor();
    await page.getByText(`User: system:serviceaccount:people:alice is not authorized to perform: iam:PassRole on resource: ${role} or resource: ${target} because no RBAC rule allows the verb pass`).waitFor();
    const create = page.getByRole('button', { name: 'Create association' });
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await create.click();
    await page.waitForFunction(() => document.activeElement?.textContent.includes('It cannot be created like this')); // and so in sight
    t.same(await refused.count(), 1, 'how often it is told');
    await t.settled(page);
    await t.accessible(page, 'a refusal by RBAC');
    await t.picture(page, 'real-cluster-refused');

    const objects = await page.getByRole('region', { name: 'What to apply' }).innerText();
    t.expect(objects.includes('kind: ClusterRoleBinding') && objects.includes(role) && objects.includes(target), `what is to be applied: ${objects}`);
    await t.outside('apply', objects);
    const made = page.getByText('The association of shop/by-console is created.');
    for (let i = 0; i < 20 && !(await made.isVisible()); i++) { // the API server learns of the rule within moments
      await create.click();
      await made.waitFor({ timeout: 1000 }).catch(() => {});
    }
    await page.getByRole('heading', { level: 1, name: 'by-console' }).waitFor();
    await page.getByText('Working').first().waitFor(); // tried at AWS by the server
    await t.settled(page);
    await t.picture(page, 'real-cluster-created');
    await t.go(page, '#/associations');
    await page.getByText('(2)', { exact: true }).first().waitFor();

    await page.getByRole('link', { name: 'by-console', exact: true }).click();
    await page.getByRole('button', { name: 'Delete' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('No pod uses it now').waitFor();
    await t.picture(page, 'real-cluster-delete');
    await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('The association of shop/by-console is deleted.').waitFor();
    await page.getByText('(1)', { exact: true }).first().waitFor();
    t.same(await page.getByRole('link', { name: 'by-console', exact: true }).count(), 0, 'rows of what is deleted');
  },

  async 'who may only look in a cluster is offered no change, and refused those that are sent'(t) {
    const page = await signedIn(t, 'cluster', 'bob', '#/associations', ['403']);
    await page.getByRole('link', { name: 'app', exact: true }).waitFor();
    t.same(await page.getByText('Create association').count(), 0, 'buttons that create');
    await page.getByRole('link', { name: 'app', exact: true }).click();
    for (const name of ['Edit', 'Delete']) t.same(await page.getByRole(name === 'Edit' ? 'link' : 'button', { name, exact: true }).getAttribute('aria-disabled'), 'true', name);
    await page.getByText('You may not list pods in namespace shop.').waitFor(); // rather than that there are none
    await t.settled(page);
    await t.picture(page, 'real-cluster-viewer');
    const refused = await sent(page, 'DELETE', `/associations/${page.url().split('/').at(-1)}`);
    t.expect(refused.status === 403 && refused.text.includes('cannot delete resource'), `a deletion that is sent all the same: ${JSON.stringify(refused)}`);
  },

  async 'a read-only console in a cluster lets its administrators look, and no more'(t) {
    const page = await signedIn(t, 'readOnly', 'alice', '#/associations', ['403']);
    await page.getByText('Read-only').filter({ visible: true }).first().waitFor();
    await page.getByRole('link', { name: 'app', exact: true }).click();
    await page.getByRole('heading', { level: 1, name: 'app' }).waitFor();
    t.same(await page.getByRole('button', { name: 'Delete' }).getAttribute('aria-disabled'), 'true', 'Delete');
    await t.settled(page);
    await t.picture(page, 'real-cluster-read-only');
    const refused = await sent(page, 'DELETE', `/associations/${page.url().split('/').at(-1)}`);
    t.expect(refused.status === 403 && refused.text.includes('read-only'), `a deletion that is sent all the same: ${JSON.stringify(refused)}`);
  },
};

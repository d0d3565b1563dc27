// Members: the choice of scopes shows where it counts.
for (const own of document.querySelectorAll('.own-scopes')) {
  const form = own.closest('form');
  const show = () => own.classList.toggle('off', form.querySelector('[name=holds]:checked')?.value !== 'own');
  form.addEventListener('change', show);
  show();
}

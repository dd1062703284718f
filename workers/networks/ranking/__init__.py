"""Networks that rank configurations: trained here on the meta-dataset, served by `app.metalearning.metalearners`."""

"""The hospital's own archive: what is there, what is fetched from it into the folder of images, what goes back."""

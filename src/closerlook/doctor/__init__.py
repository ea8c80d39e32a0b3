"""Before the first job: is the cluster as config/site.yaml says, and can a job there do its work?"""

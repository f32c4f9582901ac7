"""A campaign of faults against a working installation; see campaign.py."""

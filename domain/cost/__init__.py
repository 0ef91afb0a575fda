"""What an installation costs a month on AWS: rates, prices, the bill, and what lowers it.

workload.py   what is asked: sites, cameras, Mbit/s, retention, how footage is uploaded
rates.py      what one camera causes in an hour: requests, messages, bytes, rows
prices.py     list prices by region, with the day on which they were written down
bill.py       rates times prices: lines by service, for the installation, a site and a camera
measured.py   the workload of an installation, by what its catalog knows
levers.py     what a change would save, ranked
"""

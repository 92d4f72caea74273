"""The paths outside the API lane."""

from django.contrib import admin
from django.urls import path

from bridge_project import views

urlpatterns = [
    path("", views.welcome, name="welcome"),
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("api/hello", views.hello),
    path("api/event_logging/<path:rest>", views.event_logging),
    path("admin/", admin.site.urls),
]
